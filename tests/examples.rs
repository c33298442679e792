//! The programs in `examples/`: each runs and prints the expected output.

use std::process::Command;

/// The output of an example. Cargo builds examples together with the tests.
fn output_of(example: &str, arguments: &[&str]) -> String {
    let this = std::env::current_exe().unwrap();
    let directory = this.ancestors().find(|path| path.join("examples").is_dir()).expect("cargo built the examples");
    let program = directory.join("examples").join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(&program).args(arguments).output().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_model_is_trained_on_a_text() {
    let output = output_of("train", &["README.md", "2"]);
    assert!(output.contains("step    2") && output.contains("validation loss"), "{output}");
}

#[test]
fn steps_are_planned_without_a_gpu() {
    let output = output_of("plan", &["4096", "8"]);
    assert!(["standard", "checkpoint", "stream"].iter().all(|strategy| output.contains(strategy)), "{output}");
}

#[test]
fn gradients_of_two_strategies_are_the_same_bits() {
    let output = output_of("compare_gradients", &[]);
    assert!(output.contains("the same bits"), "{output}");
}
