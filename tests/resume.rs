//! A run that is killed and resumed is bit-identical to an uninterrupted run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::command_line::{directory, kill_after, run, small_model};

const STEPS: &str = "40";

fn arguments<'a>(model: &'a Path, out: &'a Path) -> Vec<&'a str> {
    let (model, out) = (model.to_str().unwrap(), out.to_str().unwrap());
    let run = ["train", "--model", model, "--data", "own", "--seq-len", "96", "--batch", "2", "--accumulate", "2", "--chunk", "64"];
    [&run[..], &["--steps", STEPS, "--checkpoint-every", "3", "--out", out, "--json"]].concat()
}

#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    let here = directory("resume");
    let model = small_model(&here);
    let (whole, killed) = (here.join("whole"), here.join("killed"));
    assert!(run(&arguments(&model, &whole)).status.success());

    let checkpoint = killed.join("checkpoint.safetensors");
    kill_after(&arguments(&model, &killed), || checkpoint.is_file(), "no checkpoint was written", Duration::ZERO);
    assert!(!killed.join("model.safetensors").is_file(), "the run was over before it could be killed");

    let resumed = run(&[&arguments(&model, &killed)[..], &["--resume"]].concat());
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    let first: serde_json::Value = serde_json::from_slice(resumed.stdout.split(|&b| b == b'\n').next().unwrap()).unwrap();
    assert!(first["step"].as_u64().unwrap() > 1, "the run did not resume from the checkpoint");
    let weights = |directory: &Path| fs::read(directory.join("model.safetensors")).unwrap();
    assert!(weights(&whole) == weights(&killed), "the weights differ");
}
