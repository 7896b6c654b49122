//! The architectures of the assignments, each as a function that reads like its text. All give logits: softmax is
//! part of the loss, and of `predict_proba`.

mod architecture_comparison;
mod cnn_vs_fcnn;
mod lenet;
mod resnet18;
mod vgg16;

pub use architecture_comparison::{dense_ann, traditional_cnn};
pub use cnn_vs_fcnn::{model1, model2, model3, model4};
pub use lenet::{lenet_fashion, lenet5};
pub use resnet18::resnet18;
pub use vgg16::{vgg16, vgg16_features};
