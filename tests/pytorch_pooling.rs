//! Poolings place their windows as PyTorch does, for maps of every small size, also if windows are larger than the map,
//! and give an error where PyTorch gives one. The table is made by fixtures/pytorch/pooling.py.

use backstitch::prelude::*;
use serde_json::Value;

fn table(name: &str) -> Vec<Value> {
    let path = format!("{}/fixtures/pytorch/pooling.json", env!("CARGO_MANIFEST_DIR"));
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    all[name].as_array().unwrap().clone()
}

fn size(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn pair(value: &Value) -> [usize; 2] {
    [size(&value[0]), size(&value[1])]
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

/// Outputs, their shape, and the gradients for dL/dy = 1, 2, 3, ...
fn pass(net: Net, shape: &[usize], x: &[f32]) -> Option<(Vec<f32>, Vec<usize>, Vec<f32>)> {
    let model: Model = Model::new(net, &shape[1..], 0).ok()?;
    let (mut trace, mut dx, ctx) = (Trace::new(Keep::ForBackward), Tensor::default(), Context::train(0, 0));
    let mut input = Tensor::zeros(shape).unwrap();
    input.data_mut().copy_from_slice(x);
    model.forward(&input, &mut trace, &ctx).unwrap();
    let (y, dy) = trace.output_and_gradient();
    dy.set_shape(&y.shape()).unwrap();
    dy.data_mut().iter_mut().enumerate().for_each(|(i, dy)| *dy = (i + 1) as f32);
    model.backward(&input, &mut trace, Some(&mut dx), None, &ctx).unwrap();
    let y = trace.output();
    Some((y.data().to_vec(), y.shape().to_vec(), dx.data().to_vec()))
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b.abs()))
}

#[test]
fn windows_lie_as_in_pytorch_over_every_small_map() {
    for kind in ["max", "mean"] {
        let (mut refused, mut done) = (0, 0);
        for row in table(kind) {
            let [length, window, stride, padding, dilation] = [0, 1, 2, 3, 4].map(|i| size(&row[i]));
            let ceil = row[5].as_bool().unwrap();
            let net = if kind == "max" {
                let pool = max_pool([1, window]).stride([1, stride]).padding([0, padding]);
                let pool = pool.dilation([1, dilation]);
                Net::new().push(if ceil { pool.ceil() } else { pool })
            } else {
                let pool = avg_pool([1, window]).stride([1, stride]).padding([0, padding]);
                Net::new().push(if ceil { pool.ceil() } else { pool })
            };
            let x: Vec<f32> = (0..length).map(|i| (i * 5 % 7 + 1) as f32).collect();
            let got = pass(net, &[1, 1, length, 1], &x);
            if row[6].is_null() {
                assert!(got.is_none(), "{kind} {row}: {got:?}");
                refused += 1;
            } else {
                let (y, _, dx) = got.unwrap_or_else(|| panic!("{kind} {row} is refused"));
                assert!(close(&y, &numbers(&row[6])), "{kind} {row}: {y:?}");
                assert!(close(&dx, &numbers(&row[7])), "{kind} {row}: {dx:?}");
                done += 1;
            }
        }
        assert!(refused > 50 && done > 150, "{kind}: {refused} {done}");
    }
}

#[test]
fn dilated_windows_over_whole_maps_are_those_of_pytorch() {
    let rows = table("maps");
    assert_eq!(rows.len(), 4);
    for row in rows {
        let [window, stride, padding, dilation] = [0, 1, 2, 3].map(|i| pair(&row[i]));
        let pool = max_pool(window).stride(stride).padding(padding).dilation(dilation);
        let net = Net::new().push(if row[4].as_bool().unwrap() { pool.ceil() } else { pool });
        let (y, shape, dx) = pass(net, &[2, 7, 6, 2], &numbers(&row[5])).unwrap();
        let expected: Vec<usize> = row[6].as_array().unwrap().iter().map(size).collect();
        assert_eq!(shape, expected);
        assert!(close(&y, &numbers(&row[7])) && close(&dx, &numbers(&row[8])), "{window:?}");
    }
}
