//! Runs that are interrupted, whose output or disk fails, or that diverge: nothing is lost, and every command says what to do.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use streambp::train::load_snapshot;

use crate::command_line::{PROGRAM, complaint, directory, run, small_model, text};

const CHECKPOINT: &str = "checkpoint.safetensors";

/// The arguments of a run in small steps.
fn train<'a>(model: &'a Path, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let run = ["train", "--model", text(model), "--data", "own", "--seq-len", "96", "--json", "--out", text(out)];
    [&run[..], more].concat()
}

fn succeeds(arguments: &[&str]) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    stderr
}

fn step_of(out: &Path) -> u64 {
    load_snapshot(&out.join(CHECKPOINT)).unwrap().step
}

fn weights(out: &Path) -> Vec<u8> {
    fs::read(out.join("model.safetensors")).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn spawn(arguments: &[&str]) -> Child {
    Command::new(PROGRAM).args(arguments).arg("--no-tune").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for a line of output. What comes after it can be read on.
fn first_line(child: &mut Child) -> BufReader<ChildStdout> {
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    assert!(reader.read_line(&mut String::new()).unwrap() > 0, "the program ended");
    reader
}

/// The exit status, and what was said.
fn ended(mut child: Child, output: Option<BufReader<ChildStdout>>) -> (Option<i32>, String) {
    // Read to the end, or the program would wait for room in the pipe.
    output.map(|mut rest| rest.read_to_end(&mut Vec::new()).unwrap());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

#[cfg(target_os = "linux")]
mod signals {
    use super::*;

    /// Without another process: on a busy machine a run could end before that has started.
    #[expect(unsafe_code, reason = "no safe interface sends a signal to a child")]
    fn send(child: &Child, signal: i32) {
        // SAFETY: the process was not waited for, so its id is still its own.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
    }

    /// Waits until the program handles SIGINT itself.
    fn listens(child: &Child) {
        let handles = || {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
            u64::from_str_radix(caught, 16).unwrap() & 0b10 != 0
        };
        while !handles() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    #[test]
    fn a_stopped_run_is_saved_and_resumes_to_the_same_bits() {
        let here = directory("signals");
        let model = small_model(&here);
        let (whole, stopped) = (here.join("whole"), here.join("stopped"));
        let steps = ["--steps", "200", "--checkpoint-every", "1000", "--val-every", "1000"];
        succeeds(&train(&model, &whole, &steps));

        let mut saved = 0;
        let parts: [(i32, &str, &[&str]); 3] = [
            (libc::SIGINT, "SIGINT", &[]),
            (libc::SIGTERM, "SIGTERM", &["--resume", "--strategy", "checkpoint"]),
            (libc::SIGHUP, "SIGHUP", &["--resume", "--chunk", "64"]),
        ];
        for (signal, name, more) in parts {
            let mut child = spawn(&train(&model, &stopped, &[&steps[..], more].concat()));
            let rest = first_line(&mut child);
            send(&child, signal);
            let (code, said) = ended(child, Some(rest));
            assert_eq!(code, Some(128 + signal), "{said}");
            let step = step_of(&stopped);
            assert!(step > saved && step < 200, "{step}");
            let last = said.lines().last().unwrap();
            assert!(last.contains(&format!("{name}: stopped after step {step}")) && last.contains("--resume"), "{said}");
            saved = step;
        }
        let said = succeeds(&train(&model, &stopped, &[&steps[..], &["--resume", "--offload"]].concat()));
        assert!(said.contains("bit-identical"), "{said}");
        assert!(weights(&whole) == weights(&stopped), "the weights differ");
    }

    #[test]
    fn a_second_signal_ends_the_program_at_once() {
        let here = directory("second_signal");
        let (model, out) = (small_model(&here), here.join("out"));
        let mut child = spawn(&[
            "train",
            "--model",
            text(&model),
            "--data",
            "own",
            "--seq-len",
            "8192",
            "--steps",
            "9",
            "--out",
            text(&out),
            "--json",
            "--warmup",
            "0",
            "--val-every",
            "1000",
        ]);
        let rest = first_line(&mut child);
        send(&child, libc::SIGINT);
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("second signal") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "the first signal was not noticed");
        }
        send(&child, libc::SIGTERM);
        drop(rest);
        assert_eq!(child.wait().unwrap().code(), Some(143));
        assert!(!out.join(CHECKPOINT).exists(), "the step was finished and saved");
    }

    #[test]
    fn other_commands_stop_too() {
        let here = directory("other_signals");
        let model = small_model(&here);
        let model = text(&model);
        for arguments in [
            vec!["generate", "--model", model, "--prompt", "fn", "--tokens", "20000", "--json"],
            vec!["verify", "--model", model, "--seq-len", "2048", "--json"],
            vec!["bench", "--model", model, "--seq-len", "512", "--steps", "1000", "--json"],
        ] {
            let child = spawn(&arguments);
            listens(&child);
            send(&child, libc::SIGINT);
            let (code, said) = ended(child, None);
            assert_eq!(code, Some(130), "{arguments:?}: {said}");
        }
    }

    #[test]
    fn a_signal_that_is_ignored_stays_ignored() {
        let here = directory("nohup");
        let (model, out) = (small_model(&here), here.join("out"));
        let arguments = train(&model, &out, &["--steps", "30"]);
        let mut command = Command::new("nohup");
        command.arg(PROGRAM).args(arguments).arg("--no-tune").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let rest = first_line(&mut child);
        send(&child, libc::SIGHUP);
        let (code, said) = ended(child, Some(rest));
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(step_of(&out), 30);
    }
}

#[test]
fn an_output_that_nobody_takes_is_an_error_and_the_run_is_saved_first() {
    let here = directory("closed_output");
    let (model, out) = (small_model(&here), here.join("out"));
    let gradients = here.join("gradients.safetensors");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/long_rope/batch.safetensors");
    let closed: Vec<Stdio> = if cfg!(target_os = "linux") {
        vec![closed_pipe(), Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap())]
    } else {
        vec![closed_pipe()]
    };
    for (i, stdout) in closed.into_iter().enumerate() {
        let out = out.join(i.to_string());
        fails_to_print(&train(&model, &out, &["--steps", "50", "--checkpoint-every", "1000"]), stdout);
        assert!(step_of(&out) >= 1);
    }
    for arguments in [
        vec!["devices"],
        vec!["plan", "--model", "tiny", "--seq-len", "64"],
        vec!["generate", "--model", text(&model), "--prompt", "fn", "--tokens", "3"],
        vec!["grad", "--model", text(&model), "--batch", text(&fixture), "--out", text(&gradients)],
        vec!["verify", "--model", text(&model), "--seq-len", "64", "--chunks", "64", "--no-reference"],
    ] {
        fails_to_print(&arguments, closed_pipe());
    }
}

fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    Stdio::from(writer)
}

fn fails_to_print(arguments: &[&str], stdout: Stdio) {
    let output = Command::new(PROGRAM).args(arguments).arg("--no-tune").stdout(stdout).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(said.lines().last().unwrap().starts_with("error: standard output: ") && !said.contains("panicked"), "{said}");
}

#[test]
fn an_output_directory_is_probed_before_the_first_step() {
    let here = directory("places");
    let (model, out) = (small_model(&here), here.join("out"));
    let file = here.join("file");
    fs::write(&file, "text").unwrap();
    let steps = ["--steps", "2"];
    let said = |out: &Path, more: &[&str]| complaint(&train(&model, out, &[&steps[..], more].concat()));
    assert!(said(&file, &[]).contains("cannot be written"));
    assert!(said(&out, &["--resume"]).contains("no checkpoint"));

    let original = weights(&model);
    for same in same_directories(&model, &here) {
        assert!(said(&same, &["--overwrite"]).contains("which is read"));
        assert!(
            complaint(&["merge", "--model", text(&model), "--lora", text(&model), "--out", text(&same)]).contains("adapter_config.json")
        );
        let replaced = same.join("model.safetensors");
        let batch = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/long_rope/batch.safetensors");
        assert!(complaint(&["grad", "--model", text(&model), "--batch", text(&batch), "--out", text(&replaced)]).contains("which is read"));
        let config = same.join("config.json");
        let plan = ["plan", "--model", text(&model), "--seq-len", "64", "--trace", text(&config)];
        assert!(complaint(&plan).contains("which is read"));
    }
    assert!(weights(&model) == original, "the original weights were overwritten");

    succeeds(&train(&model, &out, &steps));
    let trained = weights(&out);
    assert!(said(&out, &[]).contains("--overwrite"));
    fs::remove_file(out.join(CHECKPOINT)).unwrap();
    assert!(said(&out, &[]).contains("another model's"));
    assert!(weights(&out) == trained);
}

/// The directory itself, and a link to it where the system has links.
fn same_directories(model: &Path, here: &Path) -> Vec<PathBuf> {
    let link = here.join("link");
    #[cfg(unix)]
    std::os::unix::fs::symlink(model, &link).unwrap();
    [model.to_owned(), link].into_iter().filter(|path| path.exists()).collect()
}

#[test]
fn two_processes_do_not_write_to_one_directory() {
    let here = directory("lock");
    let (model, out) = (small_model(&here), here.join("out"));
    let mut first = spawn(&train(&model, &out, &["--steps", "100000"]));
    let rest = first_line(&mut first);
    let message = complaint(&train(&model, &out, &["--steps", "2", "--overwrite"]));
    assert!(message.contains("another process"), "{message}");
    first.kill().unwrap();
    ended(first, Some(rest));
    succeeds(&train(&model, &out, &["--steps", "2", "--overwrite"]));
    assert_eq!(step_of(&out), 2);
}

#[test]
fn what_an_earlier_run_left_is_no_part_of_a_new_result() {
    let here = directory("mixture");
    let (model, out) = (small_model(&here), here.join("out"));
    succeeds(&train(&model, &out, &["--steps", "1", "--lora-rank", "2"]));
    for stale in ["model.safetensors.index.json", "chat_template.jinja", "model-00001-of-00002.safetensors"] {
        fs::write(out.join(stale), "stale").unwrap();
    }
    fs::write(out.join("notes.txt"), "mine").unwrap();
    fs::write(out.join(format!("{CHECKPOINT}.1-1.partial")), "half").unwrap();
    succeeds(&train(&model, &out, &["--steps", "1", "--overwrite"]));
    let mut left = names(&out);
    left.sort();
    let own = [".streambp-lock", CHECKPOINT, "config.json", "metrics.jsonl", "model.safetensors", "notes.txt", "run.json"];
    assert_eq!(left, [&own[..], &["tokenizer.json", "tokenizer_config.json"]].concat());
}

#[test]
fn a_save_that_fails_is_tried_again() {
    let here = directory("failed_save");
    let (model, out) = (small_model(&here), here.join("out"));
    // A directory in the place of the checkpoint fails every save.
    let obstacle = out.join(CHECKPOINT).join("obstacle");
    fs::create_dir_all(&obstacle).unwrap();
    let arguments = train(&model, &out, &["--steps", "300", "--checkpoint-every", "1", "--val-every", "1000"]);
    let mut child = spawn(&arguments);
    let rest = first_line(&mut child);
    fs::remove_dir_all(out.join(CHECKPOINT)).unwrap();
    let (code, said) = ended(child, Some(rest));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: step 1 was not saved") && said.contains("the next save is at step 2"), "{said}");
    assert_eq!(step_of(&out), 300);

    // At the end it is an error, but the model is there.
    let out = here.join("never");
    fs::create_dir_all(out.join(CHECKPOINT).join("obstacle")).unwrap();
    assert!(complaint(&train(&model, &out, &["--steps", "2"])).contains(CHECKPOINT));
    assert!(!weights(&out).is_empty());
}

#[test]
fn a_run_that_diverges_keeps_its_checkpoint_and_can_resume_with_another_learning_rate() {
    let here = directory("diverging");
    let (model, out) = (small_model(&here), here.join("out"));
    let steps = ["--warmup", "0", "--checkpoint-every", "1000", "--steps"];
    succeeds(&train(&model, &out, &[&steps[..], &["5"]].concat()));
    let good = fs::read(out.join(CHECKPOINT)).unwrap();
    let message = complaint(&train(&model, &out, &[&steps[..], &["50", "--lr", "1e30", "--resume"]].concat()));
    assert!(message.contains("not finite") && message.contains("Step 5 is saved") && message.contains("--lr"), "{message}");
    assert!(fs::read(out.join(CHECKPOINT)).unwrap() == good, "the checkpoint was replaced");
    let said = succeeds(&train(&model, &out, &[&steps[..], &["8", "--lr", "1e-4", "--resume"]].concat()));
    assert!(said.contains("from step 6 on, the number of steps was 5 and is now 8"), "{said}");
    assert!(said.contains("the learning rate was 0.003 and is now 0.0001"), "{said}");
    assert_eq!(step_of(&out), 8);

    let fresh = complaint(&train(&model, &here.join("fresh"), &[&steps[..], &["50", "--lr", "1e30"]].concat()));
    assert!(fresh.contains("No step was saved before"), "{fresh}");
}

#[test]
fn a_run_with_other_data_weights_or_seed_does_not_resume() {
    let here = directory("other_run");
    let (model, out) = (small_model(&here), here.join("out"));
    let lora = ["--steps", "2", "--lora-rank", "2"];
    let resumes = |more: &[&str]| complaint(&train(&model, &out, &[&lora[..], &["--resume"], more].concat()));
    succeeds(&train(&model, &out, &lora));
    let message = resumes(&["--seed", "1", "--accumulate", "2"]);
    assert!(message.contains("an accumulation of 1 (now 2) and a seed of 0 (now 1);"), "{message}");
    let fewer = complaint(&train(&model, &out, &["--steps", "1", "--lora-rank", "2", "--resume"]));
    assert!(fewer.contains("is of step 2"), "{fewer}");
    let rank = complaint(&train(&model, &out, &["--steps", "2", "--lora-rank", "3", "--resume"]));
    assert!(rank.contains("other adapters"), "{rank}");
    fs::rename(&model, here.join("first")).unwrap();
    let config = streambp::model::load_config(text(&here.join("first"))).unwrap();
    streambp::model::save_model(&model, &config, &streambp::model::Weights::init(&config, 2)).unwrap();
    assert!(resumes(&[]).contains("other base weights"));

    fs::write(out.join(CHECKPOINT), "nothing of the kind").unwrap();
    assert!(resumes(&[]).contains("no complete safetensors file"));
}
