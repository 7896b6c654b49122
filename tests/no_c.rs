//! No C is compiled for the library: none of its dependencies runs a C compiler. (`cargo xtask check` also builds it
//! with a compiler that fails.)

use std::process::Command;

/// Crates that compile C or C++, or look for libraries compiled from it.
const BRING_C: [&str; 8] =
    ["autotools", "bindgen", "cc", "clang-sys", "cmake", "nasm-rs", "pkg-config", "vcpkg"];

/// The names of the dependencies of a package, with some features.
fn built_of(package: &str, features: &str) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["tree", "--offline", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"];
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--package", package, "--features", features])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let names: Vec<String> =
        tree.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect();
    assert_eq!(names[0], package);
    names
}

fn brings_c(package: &str, features: &str) -> bool {
    built_of(package, features).iter().any(|name| BRING_C.contains(&name.as_str()))
}

#[test]
fn nothing_compiles_c() {
    for package in ["backstitch-core", "backstitch-io", "backstitch-plot", "backstitch"] {
        assert!(!brings_c(package, ""), "{package}");
    }
}

#[test]
fn only_tls_does_and_neither_the_library_nor_the_examples_turn_it_on() {
    let tls = "ring".to_owned();
    assert!(brings_c("backstitch", "download") && built_of("backstitch", "download").contains(&tls));
    for (package, features) in [("backstitch", "download-http"), ("backstitch-examples", "")] {
        assert!(!brings_c(package, features), "{package}");
        assert!(built_of(package, features).contains(&"ureq".to_owned()), "{package}");
    }
}
