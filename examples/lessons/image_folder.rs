//! Images from a folder with one folder per class, each image read when it is needed.
//!
//! `cargo run --release --example lesson_image_folder`

use std::fs;
use std::path::Path;

use backstitch::augment::Augment;
use backstitch::images::{self, ImageFolder, Options};
use backstitch::prelude::*;

/// Draws balls, boxes, crosses, kites, rings and stripes into `folder/ball/0.png` and so on, so the lesson needs no
/// photographs.
fn draw(folder: &Path) -> Result<()> {
    let drawn = images::generate_sample(&Options::new(48, 48)?).train;
    for (i, picture) in drawn.pixels.outer_iter().enumerate() {
        let class = folder.join(&drawn.classes[drawn.labels[i]]);
        fs::create_dir_all(&class)?;
        images::write(class.join(format!("{i}.png")), picture)?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let place = std::env::temp_dir().join(format!("backstitch-{}", std::process::id()));
    draw(&place.join("pictures"))?;

    // Each picture is decoded once, then read from the cache. `ImageFolder::open(folder, 32, 32)` has no cache.
    let options = Options::new(32, 32)?.cache(place.join("cache"));
    let folder = ImageFolder::open_with(place.join("pictures"), &options)?;
    println!("{folder}");
    let [train, validation] = folder.dataset().stratified_split(0.2, 0)?;

    let block = |filters| chain![conv2d(filters, 3).same(), batch_norm().relu(), max_pool(2)];
    let net = chain![block(16), block(32), block(64), flatten(), dense(folder.classes().len())];
    let mut model = Model::new(net, &train.input_shape(), 0)?;
    let changes = Augment::new().horizontal_flip().random_crop(3);
    let trainer =
        Trainer::new(Adam::new(3e-3)).epochs(25).batch_size(16).augment(changes).validation(&validation);
    let history = trainer.fit(&mut model, &train)?;
    println!("{history}");

    // A single picture needs the form of the training pictures: the same size, the same channels, numbers from 0 to 1.
    let file = place.join("pictures/ring/180.png");
    let picture = images::resize(images::read(&file)?.view(), 32, 32)?.mapv(|byte| f32::from(byte) / 255.0);
    let shares = model.predict_proba(picture.into_shape_with_order((1, 32, 32, 3))?)?;
    for (class, share) in folder.classes().iter().zip(&shares) {
        println!("{class}: {share:.3}");
    }
    fs::remove_dir_all(place)?;
    Ok(())
}
