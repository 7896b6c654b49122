use backstitch::rng::{Purpose, stream}; use backstitch::zoo; use backstitch_examples::cnn_vs_fcnn as n; use backstitch_examples::architecture_comparison as m; use backstitch::prelude::*; use rand::Rng;
fn hash(h: &mut u64, data: &[f32]) { for v in data { *h = (*h ^ u64::from(v.to_bits())).wrapping_mul(0x0100_0000_01b3); } }
fn run(name: &str, net: Net, input: &[usize], classes: usize) {
    for batch in [5usize, 12] {
        let mut model: Model = Model::new(net.clone(), input, 7).unwrap();
        let size: usize = input.iter().product();
        let mut rng = stream(3, Purpose::Noise, 1, 2);
        let x: Vec<f32> = (0..batch * size).map(|_| rng.random_range(-1.0f32..1.0)).collect();
        let mut shape = vec![batch]; shape.extend(input);
        let x = ndarray::ArrayD::from_shape_vec(shape, x).unwrap();
        let labels: Vec<usize> = (0..batch).map(|i| (i * 7) % classes).collect();
        let data = Dataset::classes(&x, &labels).unwrap();
        let history = Trainer::new(Adam::new(1e-3)).epochs(3).batch_size(batch).clip_norm(1.0).seed(2).fit(&mut model, &data).unwrap();
        let mut h = 0xcbf2_9ce4_8422_2325u64;
        for slot in model.slots() { hash(&mut h, slot.value().data()); }
        let y = model.predict(&x.view()).unwrap();
        let mut o = 0xcbf2_9ce4_8422_2325u64; hash(&mut o, y.as_slice().unwrap());
        let f = model.fuse().predict(&x.view()).unwrap();
        let mut g = 0xcbf2_9ce4_8422_2325u64; hash(&mut g, f.as_slice().unwrap());
        println!("{name} {batch} {h:016x} {o:016x} {g:016x} {:?}", history.last("train_loss"));
    }
}
fn main() {
    let c = [28, 28, 1];
    run("model1", n::model1(), &c, 10); run("model2", n::model2(), &c, 10); run("model3", n::model3(), &c, 10); run("model4", n::model4(), &c, 10);
    run("dense_ann", m::dense_ann(10), &c, 10); run("trad", m::traditional_cnn(Activation::Relu), &c, 10); run("resnet", m::resnet(), &c, 10); run("inception", m::inception(), &c, 10);
    run("lenet_fashion", zoo::lenet_fashion(10), &c, 10);
    run("resnet18", zoo::resnet18(10), &[32, 32, 3], 10);
    let avg = Net::new().push(conv2d(8, 5).stride(2)).push(batch_norm().relu()).push(avg_pool(2)).push(conv2d(16, 3).same().activation(Activation::LeakyRelu(0.1))).push(max_pool(3).stride(2)).push(global_avg_pool()).push(dropout(0.3)).push(dense(7));
    run("avg", avg, &[29, 31, 3], 7);
    let big = Net::new().push(flatten()).push(dense(900).activation(Activation::Tanh)).push(dense(700).activation(Activation::Sigmoid)).push(dropout(0.5)).push(dense(10));
    run("big", big, &c, 10);
    run("sq", zoo::squeezenet(50), &[67, 67, 3], 50);
}
