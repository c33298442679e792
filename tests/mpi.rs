//! The program on several ranks that `mpirun` starts, in one machine: `cargo xtask test --only mpi`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use safetensors::SafeTensors;
use streambp::train::load_snapshot;

use crate::command_line::{PROGRAM, directory, run, small_model, text};
use crate::support::Random;

const CHECKPOINT: &str = "checkpoint.safetensors";
const MODEL: &str = "model.safetensors";

fn mpirun() -> Command {
    let mut command = Command::new("mpirun");
    // Open MPI would rather not start more processes than there are cores, nor as root, as in a container.
    let permits = ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_rmaps_base_oversubscribe"];
    command.envs(permits.map(|name| (name, "1"))).stdin(Stdio::null());
    command
}

/// The program on that many ranks; with one, without MPI.
fn on(ranks: u32, arguments: &[&str]) -> Output {
    let output = match ranks {
        1 => run(arguments),
        _ => mpirun().args(["-n", &ranks.to_string(), PROGRAM, "--no-tune"]).args(arguments).output().unwrap(),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{ranks} ranks, {arguments:?}: {said}");
    output
}

/// A run of 12 steps, each of which is saved.
fn train<'a>(model: &'a Path, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let run = ["train", "--model", text(model), "--data", "own", "--seq-len", "300", "--accumulate", "2", "--steps", "12"];
    [&run[..], &["--checkpoint-every", "1", "--val-every", "4", "--json", "--out", text(out)], more].concat()
}

#[test]
fn a_run_gives_the_same_bits_on_any_number_of_ranks() {
    let at = directory("mpi-run");
    let model = small_model(&at);
    let [alone, two, five] = ["alone", "two", "five"].map(|name| at.join(name));
    let lines = [(1, &alone), (2, &two), (5, &five)].map(|(ranks, out)| on(ranks, &train(&model, out, &[])).stdout);
    for other in [&two, &five] {
        assert!(load_snapshot(&other.join(CHECKPOINT)).unwrap() == load_snapshot(&alone.join(CHECKPOINT)).unwrap());
        assert!(fs::read(other.join(MODEL)).unwrap() == fs::read(alone.join(MODEL)).unwrap());
    }
    // The first rank alone prints: a line for each step.
    assert_eq!(lines.map(|lines| lines.lines().count()), [12; 3]);
}

#[test]
fn gradients_of_a_batch_are_the_same_bits() {
    let at = directory("mpi-verify");
    let model = small_model(&at);
    let arguments = ["verify", "--model", text(&model), "--seq-len", "300", "--no-reference", "--json"];
    let report: serde_json::Value = serde_json::from_slice(&on(3, &arguments).stdout).unwrap();
    assert_eq!(report["same_bits"], true);
    assert!(report["runs"].as_array().unwrap().len() > 5);
}

#[test]
fn gradients_of_a_file_are_the_same_bits() {
    let at = directory("mpi-grad");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/long_rope");
    let batch = fixture.join("batch.safetensors");
    let gradients = [1, 2].map(|ranks| {
        let out = at.join(format!("{ranks}.safetensors"));
        on(ranks, &["grad", "--model", text(&fixture), "--batch", text(&batch), "--out", text(&out)]);
        let bytes = fs::read(&out).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        tensors.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect::<BTreeMap<String, Vec<u8>>>()
    });
    assert!(gradients[0] == gradients[1] && gradients[0].len() > 10);
}

/// Kills one of the processes that `mpirun` has started, and waits until all have ended.
#[cfg(target_os = "linux")]
fn kill_one(mut job: Child, random: &mut Random) {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", job.id())).unwrap();
    let children: Vec<&str> = children.split_whitespace().collect();
    let chosen = children[random.below(children.len() as u32) as usize];
    assert!(Command::new("kill").args(["-9", chosen]).status().unwrap().success());
    assert!(!job.wait().unwrap().success(), "a job with a killed rank fails");
    while children.iter().any(|id| Path::new("/proc").join(id).exists()) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whichever rank is killed, and when: the job ends, and goes on elsewhere from its last checkpoint.
#[cfg(target_os = "linux")]
#[test]
fn a_killed_rank_ends_the_job_and_loses_nothing() {
    let at = directory("mpi-kill");
    let model = small_model(&at);
    let alone = at.join("alone");
    on(1, &train(&model, &alone, &[]));
    let mut random = Random::new(1);
    for number in 0..10u32 {
        let out = at.join(number.to_string());
        let mut job = mpirun()
            .args(["-n", "3", PROGRAM, "--no-tune"])
            .args(train(&model, &out, &[]))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(job.stdout.take().unwrap()).lines();
        let steps = 1 + random.below(8) as usize;
        assert_eq!(lines.by_ref().take(steps).count(), steps);
        std::thread::sleep(Duration::from_millis(random.below(200).into()));
        kill_one(job, &mut random);
        let saved = load_snapshot(&out.join(CHECKPOINT)).unwrap().step;
        assert!((steps as u64 - 1..12).contains(&saved), "step {saved} is saved, and {steps} were told");
        let resumed = ["train", "--resume", text(&out)];
        on(1 + number % 3, &resumed);
        assert!(fs::read(out.join(MODEL)).unwrap() == fs::read(alone.join(MODEL)).unwrap(), "killed after {steps} steps");
    }
}

#[test]
fn what_cannot_run_together_is_refused() {
    let at = directory("mpi-refused");
    let model = small_model(&at);
    let refused = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let out = at.join("run");
    let both = |more: [&str; 2]| {
        let mut command = mpirun();
        command.args(["-n", "1", PROGRAM, "--no-tune"]).args(train(&model, &out, &[])).args([":", "-n", "1", PROGRAM, "--no-tune"]);
        refused(command.args(train(&model, &out, &more)))
    };
    let said = both(["--lr", "0.5"]);
    assert!(said.contains("rank 1: its run is not that of rank 0"), "{said}");
    let plan = ["-n", "2", PROGRAM, "plan", "--model", text(&model), "--seq-len", "300"];
    let said = refused(mpirun().args(plan));
    assert!(said.contains("plan runs in one process, and 2 were started"), "{said}");
    let short = ["-n", "3", PROGRAM, "--no-tune", "train", "--model", text(&model), "--data", "own", "--seq-len", "100", "--steps", "1"];
    let said = refused(mpirun().args(short));
    assert!(said.contains("too few for 3 ranks"), "{said}");
}
