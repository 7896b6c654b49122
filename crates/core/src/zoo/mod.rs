//! Networks with a name in the literature, each as a function that reads like its paper. All give logits: softmax is part of the
//! loss, and of `predict_proba`.

mod gpt;
mod lenet;
mod resnet18;
mod squeezenet;
mod vgg16;

pub use gpt::Gpt;
pub use lenet::{Lenet5, lenet_fashion, lenet5};
pub use resnet18::{resnet18, resnet18_torchvision_name};
pub use squeezenet::{squeezenet, squeezenet_features, squeezenet_published_name};
pub use vgg16::{vgg16, vgg16_batch_norm_features, vgg16_blocks12, vgg16_features, vgg16_torchvision_name};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Net;
    use crate::net::model::Model;
    use crate::tensor::Tensor;

    fn model(net: Net, input: &[usize]) -> Model {
        Model::new(net, input, 0).unwrap()
    }

    #[test]
    fn parameter_counts_are_those_of_the_texts() {
        let grey = &[28, 28, 1][..];
        let colour = &[64, 64, 3][..];
        for (name, net, input, expected) in [
            ("lenet on fashion", lenet_fashion(10), grey, 61_706),
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
    fn resnet18_takes_maps_of_any_size_and_predicts() {
        let model = model(resnet18(5), &[33, 40, 3]);
        let x = Tensor::<f32>::zeros(&[2, 33, 40, 3]).unwrap();
        assert_eq!(model.predict(x.view()).unwrap().shape(), [2, 5]);
    }
}
