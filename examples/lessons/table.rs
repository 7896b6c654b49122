//! A table: houses in a CSV file, with categories and missing values. `cargo run --release --example lesson_table`

use std::fmt::Write as _;

use backstitch::prelude::*;

/// The network, used for training and for loading. Only its first and last layer differ.
fn net(first: Standardize, last: Standardize) -> Net {
    chain![first, dense(32).relu(), dense(32).relu(), dense(1), last]
}

/// An invented table: the price depends on area, age and town. Every 20th age is missing.
fn houses() -> String {
    let mut csv = "area,age,town,price\n".to_owned();
    for i in 0..400 {
        let (area, age, town) = (40 + i * 37 % 160, i * 53 % 90, i * 7 % 3);
        let price = [2500, 3200, 4100][town] * area - 900 * age + 1000 * (i * 29 % 41);
        let age = if i % 20 == 0 { String::new() } else { age.to_string() };
        writeln!(csv, "{area},{age},{},{price}", ["Graz", "Linz", "Wien"][town])
            .expect("a String takes any text");
    }
    csv
}

fn main() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("backstitch-table-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("houses.csv"), houses())?;

    let [train, test] = Table::read(folder.join("houses.csv"))?.split([0.8, 0.2], 0)?;
    // Categories and fill values are learned from the training set only.
    let encoding = Columns::new().one_hot("town").fill("age", Fill::Median).target("price").fit(&train)?;
    println!("features: {:?}", encoding.features());
    let (train, test) = (encoding.encode(&train)?, encoding.encode(&test)?);

    let mut model = Model::new(net(standardize(&train)?, unstandardize(&train)?), &train.input_shape(), 0)?;
    Trainer::new(Adam::new(5e-3)).epochs(100).fit(&mut model, &train)?;
    let figures = evaluate(&model, &test)?;
    println!("test set: {figures}");
    assert!(figures.get("r2") > Some(0.95));
    encoding.save(folder.join("houses.encoding.json"))?;
    model.save(folder.join("houses.safetensors"))?;

    // In another program: build the same network. The constants of its standardization come from the file.
    let encoding = Encoding::load(folder.join("houses.encoding.json"))?;
    let net = net(Standardize::unfitted(), Standardize::unfitted().inverse());
    let mut loaded: Model = Model::new(net, &[encoding.features().len()], 0)?;
    loaded.load(folder.join("houses.safetensors"))?;
    let house = Table::parse("area,age,town\n120,,Linz\n".as_bytes(), "one house")?;
    let price = loaded.predict(encoding.inputs(&house)?)?;
    println!("120 m² in Linz, age unknown: {:.0}", price[[0, 0]]);

    std::fs::remove_dir_all(folder)?;
    Ok(())
}
