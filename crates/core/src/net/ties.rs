//! Weight tying: two layers that share one parameter.

use crate::error::{Error, join_path};
use crate::layer::weights::Spec;
use crate::net::program::Program;
use crate::tensor::scalar::Scalar;

/// What the layers declare, without the parameters that are tied to others; every layer then finds the numbers that it shares.
pub(crate) fn tie<F: Scalar>(
    program: &mut Program<F>,
    declared: Vec<(usize, Spec)>,
) -> Result<Vec<(usize, Spec)>, Error> {
    if program.ties.is_empty() {
        return Ok(declared);
    }
    let names: Vec<String> =
        declared.iter().map(|(op, spec)| join_path(&program.ops[*op].path, spec.name)).collect();
    let find = |wanted: &str| {
        let at = names.iter().position(|name| name == wanted);
        at.ok_or_else(|| Error::unknown("parameter to tie", wanted, names.iter().map(String::as_str)))
    };
    let mut of: Vec<usize> = (0..declared.len()).collect();
    for (name, with) in &program.ties {
        let (at, to) = (find(name)?, find(with)?);
        let refuse =
            |expected: String, got: String| Err(Error::argument(format!("tie of {name}"), expected, got));
        if of[at] != at {
            return refuse(
                "a parameter that is not tied yet".to_owned(),
                format!("one tied to {}", names[of[at]]),
            );
        }
        // The other may be tied itself.
        let to = of[to];
        if to == at {
            return refuse("another parameter".to_owned(), format!("{with}, which is the same one"));
        }
        let ((op, spec), (other, into)) = (&declared[at], &declared[to]);
        if op == other {
            return refuse(
                "parameters of two layers".to_owned(),
                format!("both of {}", program.ops[*op].path),
            );
        }
        if !(spec.learned && into.learned) {
            return refuse(
                "two parameters".to_owned(),
                format!("{name} and {with}, of which one is a statistic"),
            );
        }
        if spec.shape != into.shape {
            return refuse(format!("the shape of {with}, {}", into.shape), spec.shape.to_string());
        }
        of.iter_mut().filter(|own| **own == at).for_each(|own| *own = to);
    }
    let kept = |at: usize| of[at] == at;
    let place: Vec<usize> = (0..of.len()).map(|at| (0..of[at]).filter(|&i| kept(i)).count()).collect();
    for op in &mut program.ops {
        op.places.iter_mut().for_each(|(_, at)| *at = place[*at]);
    }
    Ok(declared.into_iter().enumerate().filter(|(at, _)| kept(*at)).map(|(_, spec)| spec).collect())
}

#[cfg(test)]
mod tests {
    use crate::layers::{Activation, batch_norm, dense};
    use crate::optim::Sgd;
    use crate::{Context, Dataset, Keep, Model, Net, Tensor, Trace, Trainer, chain, gradcheck};
    use ndarray::array;

    fn net() -> Net {
        let tanh = || dense(3).activation(Activation::Tanh);
        chain!["a" => tanh(), "b" => tanh(), "inner" => chain!["c" => tanh()], dense(2)]
    }

    #[test]
    fn tied_parameters_are_one_and_their_gradients_add_up() {
        let tied = net().tie("b.weight", "a.weight").tie("inner.c.weight", "b.weight");
        let model: Model<f64> = Model::new(tied.clone(), &[3], 1).unwrap();
        assert_eq!(
            model.names("*"),
            ["a.bias", "a.weight", "b.bias", "dense1.bias", "dense1.weight", "inner.c.bias"]
        );
        assert_eq!(model.parameter_count(), 9 + 3 * 3 + 8);
        assert_eq!(model.summary().parameters(), model.parameter_count());
        let ties: Vec<_> = model.ties().collect();
        assert_eq!(ties, [("b.weight".to_owned(), "a.weight"), ("inner.c.weight".to_owned(), "a.weight")]);
        // The same network with three parameters of the same numbers.
        let mut free: Model<f64> = Model::new(net(), &[3], 1).unwrap();
        let shared = model.state()["a.weight"].clone();
        for mut slot in free.slots_mut() {
            let own = model.state().get(slot.name()).copied().unwrap_or(&shared);
            slot.data_mut().copy_from_slice(own.data());
        }
        let x = Tensor::from_array(array![[0.3, -0.8, 0.5], [1.2, 0.1, -0.4]].into_dyn().view()).unwrap();
        let gradient = |model: &Model<f64>| {
            let (mut trace, mut grads) = (Trace::new(Keep::ForBackward), model.grads());
            let ctx = Context::train(0, 0);
            model.forward(&x, &mut trace, &ctx).unwrap();
            let (y, dy) = trace.output_and_gradient();
            dy.copy_from(y);
            model.backward(&x, &mut trace, None, Some(&mut grads), &ctx).unwrap();
            let of = |name: &str| {
                let at = model.slots().iter().position(|slot| slot.name() == name)?;
                Some(grads.get(at)?.data().to_vec())
            };
            ["a.weight", "b.weight", "inner.c.weight"].map(of)
        };
        let ([Some(sum), None, None], [Some(a), Some(b), Some(c)]) = (gradient(&model), gradient(&free))
        else {
            panic!("a gradient for every parameter, and for no other")
        };
        for i in 0..sum.len() {
            assert!((sum[i] - (a[i] + b[i] + c[i])).abs() < 1e-14, "{i}");
        }
        gradcheck::check_net(tied.clone(), &[3], 3, &Context::train(0, 0), 5).unwrap();
    }

    #[test]
    fn tied_parameters_stay_one_in_training_and_behind_freeze_and_clone() {
        let tied = net().tie("b.weight", "a.weight");
        let data =
            Dataset::values(array![[0.3_f32, -0.8, 0.5], [1.2, 0.1, -0.4]], array![[1.0, 0.0], [0.0, 1.0]]);
        let mut model: Model = Model::new(tied, &[3], 1).unwrap();
        let before = model.clone();
        assert_eq!(model.freeze("a.*").unwrap(), 2);
        Trainer::new(Sgd::new(0.1)).batch_size(2).epochs(2).fit(&mut model, &data.unwrap()).unwrap();
        assert_eq!(model.state()["a.weight"], before.state()["a.weight"]);
        assert_ne!(model.state()["b.bias"], before.state()["b.bias"]);
        assert!(model.freeze("b.weight").unwrap_err().to_string().contains("a.weight"));
    }

    #[test]
    fn what_cannot_be_tied_is_named() {
        let error = |net: Net| Model::<f32>::new(net, &[3], 0).unwrap_err().to_string();
        let unknown = error(net().tie("b.kernel", "a.weight"));
        assert!(
            unknown.starts_with("parameter to tie \"b.kernel\": expected one of a.weight, a.bias, b.weight"),
            "{unknown}"
        );
        assert!(error(net().tie("b.weight", "weight")).starts_with("parameter to tie \"weight\""));
        assert_eq!(
            error(net().tie("dense1.weight", "a.weight")),
            "tie of dense1.weight: expected the shape of a.weight, [3, 3], got [3, 2]"
        );
        assert_eq!(
            error(net().tie("b.weight", "a.weight").tie("b.weight", "inner.c.weight")),
            "tie of b.weight: expected a parameter that is not tied yet, got one tied to a.weight"
        );
        // A circle is two ties of one.
        assert_eq!(
            error(net().tie("b.weight", "a.weight").tie("a.weight", "b.weight")),
            "tie of a.weight: expected another parameter, got b.weight, which is the same one"
        );
        let norms = chain!["n" => batch_norm(), "m" => batch_norm()];
        assert_eq!(
            error(norms.clone().tie("n.bias", "n.weight")),
            "tie of n.bias: expected parameters of two layers, got both of n"
        );
        let statistic = error(norms.tie("m.running_mean", "n.running_mean"));
        assert!(
            statistic.ends_with("got m.running_mean and n.running_mean, of which one is a statistic"),
            "{statistic}"
        );
    }
}
