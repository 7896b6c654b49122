//! The architectures of the assignments, each as a function that reads like its text. All give logits: softmax is
//! part of the loss, and of `predict_proba`.

mod architecture_comparison;
mod cnn_vs_fcnn;
mod lenet;
mod resnet18;
mod squeezenet;
mod vgg16;

pub use architecture_comparison::{dense_ann, inception, resnet, traditional_cnn};
pub use cnn_vs_fcnn::{model1, model2, model3, model4};
pub use lenet::{Lenet5, lenet_fashion, lenet_fashion_with_dropout, lenet5};
pub use resnet18::{resnet18, resnet18_torchvision_name};
pub use squeezenet::{squeezenet, squeezenet_features, squeezenet_published_name};
pub use vgg16::{vgg16, vgg16_batch_norm_features, vgg16_blocks12, vgg16_features, vgg16_torchvision_name};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Activation;
    use crate::model::Model;
    use crate::net::Net;
    use crate::tensor::Tensor;

    fn model(net: Net, input: &[usize]) -> Model {
        Model::new(net, input, 0).unwrap()
    }

    #[test]
    fn parameter_counts_are_those_of_the_texts() {
        let grey = &[28, 28, 1][..];
        let colour = &[64, 64, 3][..];
        for (name, net, input, expected) in [
            ("model 1", model1(), grey, 109_386),
            ("model 2", model2(), grey, 61_514),
            ("model 3", model3(), grey, 62_350),
            ("model 4", model4(), grey, 1_546_954),
            // Printed: 1,398,597, for 5 classes.
            ("dense ann, 5 classes", dense_ann(5), grey, 1_398_597),
            ("dense ann, 10 classes", dense_ann(10), grey, 1_398_762),
            // Printed: 6,484,330.
            ("traditional cnn", traditional_cnn(Activation::Relu), grey, 6_484_330),
            // Printed: 6,753,669.
            ("resnet", resnet(), grey, 6_753_674),
            // Printed: 325,426.
            ("inception", inception(), grey, 325_426),
            ("lenet on fashion", lenet_fashion(10), grey, 61_706),
            ("lenet with dropout", lenet_fashion_with_dropout(10, 0.5), grey, 61_706),
            ("lenet5", lenet5(101), colour, 410_526),
            // torchvision.models.resnet18(num_classes=101), vgg16().features and vgg16().
            ("resnet18", resnet18(101), colour, 11_228_325),
            // torchvision.models.squeezenet1_0().
            ("squeezenet", squeezenet(1000), &[227, 227, 3], 1_248_424),
            ("vgg16 features", vgg16_features(), &[32, 32, 3], 14_714_688),
            ("vgg16", vgg16(1000), &[224, 224, 3], 138_357_544),
        ] {
            assert_eq!(model(net, input).parameter_count(), expected, "{name}");
        }
    }

    #[test]
    fn the_traditional_cnn_has_the_text_s_table() {
        let summary = model(traditional_cnn(Activation::Relu), &[28, 28, 1]).summary();
        let table: Vec<_> = summary.lines.iter().map(|l| (l.output.to_string(), l.trainable)).collect();
        let expected = [
            ("[28, 28, 32]", 832),
            ("[14, 14, 32]", 0),
            ("[14, 14, 64]", 18_496),
            ("[7, 7, 64]", 0),
            ("[7, 7, 128]", 8_320),
            ("[7, 7, 128]", 0),
            ("[6272]", 0),
            ("[1024]", 6_423_552),
            ("[1024]", 0),
            ("[32]", 32_800),
            ("[10]", 330),
        ];
        assert_eq!(table, expected.map(|(shape, count)| (shape.to_owned(), count)));
    }

    #[test]
    fn resnet18_takes_maps_of_any_size_and_predicts() {
        let model = model(resnet18(5), &[33, 40, 3]);
        let x = Tensor::<f32>::zeros(&[2, 33, 40, 3]).unwrap();
        assert_eq!(model.predict(&x.view()).unwrap().shape(), [2, 5]);
    }
}
