//! Models, charts and reports as files: `model.save("net.safetensors")`.

use std::path::Path;

use crate::{Error, Model, Result, Scalar, safetensors};

/// Saving to a file. The file is written completely or not at all.
///
/// ```
/// use backstitch::prelude::*;
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("net.safetensors");
/// let model: Model = Model::new(dense(3), &[4], 1)?;
/// model.save(&path)?;
/// let mut other: Model = Model::new(dense(3), &[4], 2)?;
/// other.load(&path)?;
/// assert_eq!(other.state(), model.state());
/// assert_eq!(
///     model.save("net.bin").unwrap_err().to_string(),
///     "net.bin: expected a name that ends in .safetensors, got .bin"
/// );
/// # Ok::<(), backstitch::Error>(())
/// ```
pub trait Save {
    /// Writes a file in the format of the name's extension: models as `.safetensors`, charts as `.svg` or `.png`, pictures as `.png`,
    /// reports as `.html`.
    ///
    /// # Errors
    /// If the name has another extension, there is nothing to draw, or the file cannot be written.
    fn save(&self, path: impl AsRef<Path>) -> Result<()>;
}

/// Loading from a file.
pub trait Load {
    /// Loads the parameters and statistics of a `.safetensors` file. If one of them does not fit, nothing is changed.
    ///
    /// # Errors
    /// See [`safetensors::load`].
    fn load(&mut self, path: impl AsRef<Path>) -> Result<()>;
}

impl<F: Scalar> Save for Model<F> {
    fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match ending(path) {
            "safetensors" => Ok(safetensors::save(path, self)?),
            _ => Err(wrong_ending(path, ".safetensors")),
        }
    }
}

impl<F: Scalar> Load for Model<F> {
    fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        Ok(safetensors::load(path.as_ref(), self)?)
    }
}

/// The extension of a file's name: what follows its last dot.
fn ending(path: &Path) -> &str {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

fn wrong_ending(path: &Path, expected: &str) -> Error {
    let got = match ending(path) {
        "" => "none".to_owned(),
        ending => format!(".{ending}"),
    };
    Error::argument(path.display().to_string(), format!("a name that ends in {expected}"), got)
}

/// Charts and reports.
#[cfg(feature = "plot")]
mod drawn {
    use super::{Path, Result, Save, ending, wrong_ending};
    use crate::{ConfusionChart, LineChart, PictureGrid, Report, atomic};

    /// The extension of a format, and the function that makes its bytes.
    type Format<'a> = (&'static str, &'a dyn Fn() -> Result<Vec<u8>>);

    /// Writes the format of the name's extension.
    fn write(path: &Path, formats: &[Format<'_>]) -> Result<()> {
        let Some((_, bytes)) = formats.iter().find(|(name, _)| *name == ending(path)) else {
            let names: Vec<String> = formats.iter().map(|(name, _)| format!(".{name}")).collect();
            return Err(wrong_ending(path, &names.join(" or ")));
        };
        let bytes = bytes()?;
        Ok(atomic::write(path, |to| to.write_all(&bytes))?)
    }

    impl Save for LineChart {
        fn save(&self, path: impl AsRef<Path>) -> Result<()> {
            let (svg, png) = (|| Ok(self.svg()?.into_bytes()), || Ok(self.png()?));
            write(path.as_ref(), &[("svg", &svg), ("png", &png)])
        }
    }

    impl Save for ConfusionChart {
        fn save(&self, path: impl AsRef<Path>) -> Result<()> {
            let (svg, png) = (|| Ok(self.svg()?.into_bytes()), || Ok(self.png()?));
            write(path.as_ref(), &[("svg", &svg), ("png", &png)])
        }
    }

    impl Save for PictureGrid {
        fn save(&self, path: impl AsRef<Path>) -> Result<()> {
            write(path.as_ref(), &[("png", &|| Ok(self.png()?))])
        }
    }

    impl Save for Report {
        fn save(&self, path: impl AsRef<Path>) -> Result<()> {
            write(path.as_ref(), &[("html", &|| Ok(self.html()?.into_bytes()))])
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::{Series, SeriesStyle};

        #[test]
        fn a_chart_is_written_in_the_format_of_its_name() {
            let folder = tempfile::tempdir().unwrap();
            let points = vec![(1.0, 0.5), (2.0, 0.25)];
            let line = Series { label: "loss".into(), points, style: SeriesStyle::Line, colour: 0 };
            let chart = LineChart::new("t", "x", "y", vec![line]);
            for (name, begins) in [("a.svg", &b"<svg"[..]), ("a.png", b"\x89PNG")] {
                chart.save(folder.path().join(name)).unwrap();
                assert!(std::fs::read(folder.path().join(name)).unwrap().starts_with(begins), "{name}");
            }
            for (name, got) in [("a.jpg", ".jpg"), ("a", "none"), ("svg", "none")] {
                let error = chart.save(name).unwrap_err().to_string();
                assert_eq!(error, format!("{name}: expected a name that ends in .svg or .png, got {got}"));
            }
            assert!(Report::new("t").save("a.png").unwrap_err().to_string().contains(".html"));
        }
    }
}
