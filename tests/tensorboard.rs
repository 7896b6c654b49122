//! TensorBoard itself reads our event files, if Python has it.

use std::process::Command;

use backstitch::Picture;
use backstitch::prelude::*;
use backstitch::tensorboard::{EventWriter, Hyperparameter};
use ndarray::array;

const SCRIPT: &str = r#"
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

events = EventAccumulator(sys.argv[1])
events.Reload()
scalars = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
images = {tag: [[e.step, e.height, e.width, len(e.encoded_image_string)] for e in events.Images(tag)] for tag in events.Tags()["images"]}
content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
data = plugin_data_pb2.HParamsPluginData.FromString(content)
settings = {name: getattr(value, value.WhichOneof("kind")) for name, value in data.session_start_info.hparams.items()}
print(json.dumps({"scalars": scalars, "images": images, "settings": settings}))
"#;

#[test]
fn tensorboard_reads_scalars_pictures_and_hyperparameters() {
    let Some(python) = std::env::var_os("BACKSTITCH_PYTHON") else { return };
    let installed = Command::new(&python).args(["-c", "import tensorboard"]).output();
    let installed = installed.is_ok_and(|output| output.status.success());
    assert!(
        installed || std::env::var_os("BACKSTITCH_REQUIRE_PYTHON").is_none(),
        "TensorBoard is to be installed"
    );
    if !installed {
        println!("TensorBoard is not installed: nothing to read with");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut events = EventWriter::create(folder.path()).unwrap();
    let settings = [
        ("learning rate", Hyperparameter::Number(0.5)),
        ("optimizer", Hyperparameter::Text("SGD".to_owned())),
    ];
    events.hyperparameters(&settings).unwrap();
    let inputs = array![[0.0_f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]].into_dyn();
    let data = Dataset::classes(&inputs, &[0, 1, 1, 0]).unwrap();
    let net = Net::new().push(dense(8).activation(Activation::Tanh)).push(dense(2));
    let mut model = Model::new(net, &[2], 1).unwrap();
    let trainer = Trainer::new(Sgd::new(0.5)).epochs(3).batch_size(4).seed(1);
    let history = trainer.validation(&data).callback(&mut events).fit(&mut model, &data).unwrap();
    let picture = Picture::grey(array![[0.0, 1.0, 0.5]].view()).unwrap();
    let grid = backstitch::PictureGrid {
        title: String::new(),
        columns: 1,
        enlarge: 4,
        bar: None,
        pictures: vec![("one".to_owned(), picture)],
    };
    events.png("confusion", 3, &grid.png().unwrap(), (20, 30)).unwrap();

    let output = Command::new(python).args(["-c", SCRIPT]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let losses = read["scalars"]["loss/training"].as_array().unwrap();
    assert_eq!(losses.len(), 3);
    for (record, read) in history.epochs.iter().zip(losses) {
        assert_eq!(read[0], record.epoch);
        assert_eq!(read[1].as_f64().unwrap() as f32, record.get("train_loss").unwrap() as f32);
    }
    assert_eq!(read["scalars"]["accuracy/validation"].as_array().unwrap().len(), 3);
    assert_eq!(read["images"]["confusion"][0][0], 3);
    assert_eq!(read["images"]["confusion"][0][2], 30);
    assert_eq!(read["settings"], serde_json::json!({ "learning rate": 0.5, "optimizer": "SGD" }));
}
