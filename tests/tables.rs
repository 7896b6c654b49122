//! A table from its text to predictions in another program: rows to predict are encoded and scaled as in training.

use std::path::Path;

use backstitch::prelude::*;
use backstitch::safetensors;

/// Flats: the price is 1,000 per square metre, half of that in Linz, plus 20,000 for a lift. The area of every seventh
/// flat is unknown.
fn flats(rows: usize, from: usize) -> String {
    let row = |i: usize| {
        let (area, linz, lift) = (30 + i * 37 % 101, i.is_multiple_of(3), i.is_multiple_of(4));
        let price = area * if linz { 500 } else { 1000 } + if lift { 20_000 } else { 0 };
        let area = if i % 7 == 6 { "NA".to_owned() } else { area.to_string() };
        let town = if linz { "Linz" } else { "Graz" };
        format!("{i},{area},{town},{},{price}\n", u8::from(lift))
    };
    format!("id,area,town,lift,price\n{}", (from..from + rows).map(row).collect::<String>())
}

fn net(first: Standardize, last: Standardize) -> Net {
    Net::new().push(first).push(dense(32).relu()).push(dense(1)).push(last)
}

#[test]
fn a_program_that_loads_predicts_what_the_one_that_trained_does() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("flats.csv"), flats(700, 0)).unwrap();
    let [train, test] = Table::read(at("flats.csv")).unwrap().split([0.8, 0.2], 0).unwrap();
    let columns = Columns::new().ignore("id").one_hot("town").fill("area", Fill::Median).target("price");
    let encoding = columns.fit(&train).unwrap();
    assert_eq!(encoding.features(), ["area", "town=Graz", "town=Linz", "lift"]);
    let (train, test) = (encoding.encode(&train).unwrap(), encoding.encode(&test).unwrap());
    let net_of_data = net(standardize(&train).unwrap(), unstandardize(&train).unwrap());
    let mut model = Model::new(net_of_data, &train.input_shape(), 0).unwrap();
    Trainer::new(Adam::new(1e-2)).epochs(60).fit(&mut model, &train).unwrap();
    // The rows without an area remain, a seventh.
    let r2 = evaluate(&model, &test).unwrap().get("r2").unwrap();
    assert!(r2 > 0.8, "{r2}");

    encoding.save(at("flats.json")).unwrap();
    safetensors::save(at("flats.safetensors"), &model).unwrap();
    let encoding = Encoding::load(at("flats.json")).unwrap();
    let unset = Standardize::unfitted;
    let mut loaded: Model =
        Model::new(net(unset(), unset().inverse()), &[encoding.features().len()], 5).unwrap();
    safetensors::load(at("flats.safetensors"), &mut loaded).unwrap();
    let rows = Table::parse(flats(40, 700).as_bytes(), Path::new("new.csv")).unwrap();
    let x = encoding.inputs(&rows).unwrap().into_dyn();
    let bits = |model: &Model| model.predict(x.view()).unwrap().mapv(f32::to_bits);
    assert_eq!(bits(&loaded), bits(&model));
}
