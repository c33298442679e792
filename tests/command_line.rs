//! The command-line program: its output, and its one-sentence error messages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use streambp::model::{Config, PRESETS, Parameters, Weights, save_model};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_streambp");

/// Creates an empty directory for a test.
pub fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// The configuration of [`small_model`].
pub fn small_config() -> Config {
    Config { hidden_size: 32, intermediate_size: 40, num_hidden_layers: 2, head_dim: 8, ..PRESETS[0].config.clone() }
}

/// A directory with a model that trains in seconds.
pub fn small_model(directory: &Path) -> PathBuf {
    let config = small_config();
    let path = directory.join("model");
    save_model(&path, &config, &Weights::init(&config, 1)).unwrap();
    path
}

/// A directory with a model whose weights are zero: it finds every token equally likely, and takes token 0 first.
pub fn uniform_model(directory: &Path) -> PathBuf {
    let config = Config { hidden_size: 32, intermediate_size: 40, num_hidden_layers: 1, head_dim: 8, ..PRESETS[0].config.clone() };
    let parameters = Parameters::new(&config);
    let zeros = parameters.iter().map(|(_, parameter)| vec![0.0; parameter.elements()]);
    let weights = Weights::of(parameters.iter().map(|(_, parameter)| parameter), zeros);
    let path = directory.join("model");
    save_model(&path, &config, &weights).unwrap();
    path
}

pub fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).arg("--no-tune").output().unwrap()
}

/// Starts the program, waits for something that it does, and kills it `delay` later. On Unix this is SIGKILL: it cannot clean up.
pub fn kill_after(arguments: &[&str], has_done: impl Fn() -> bool, what: &str, delay: Duration) {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).arg("--no-tune").stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !has_done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
}

pub fn json(arguments: &[&str]) -> serde_json::Value {
    let output = run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The program's error message.
pub fn complaint(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8(output.stderr).unwrap();
    // Drivers may print messages of their own before it.
    let last = text.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: ") && !text.contains("panicked"), "{text}");
    last.to_owned()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Processes that know nothing of each other would all write the same run.
#[cfg(not(feature = "mpi"))]
#[test]
fn several_processes_need_a_program_with_mpi() {
    for name in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"] {
        let output = Command::new(PROGRAM)
            .args(["train", "--model", "tiny", "--data", "own", "--seq-len", "99", "--steps", "1"])
            .env(name, "2")
            .output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("built without MPI; build it with"), "{said}");
    }
}

#[test]
fn ranks_are_planned() {
    let arguments = ["plan", "--model", "small", "--seq-len", "8192", "--ranks", "4", "--device", "h100", "--bandwidth", "100", "--json"];
    let plan = json(&arguments);
    let ranks = plan["ranks"].as_array().unwrap();
    let sum = |field: &str| ranks.iter().map(|rank| rank[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!((ranks.len(), sum("tokens")), (4, 8192));
    assert!(ranks.iter().all(|rank| rank["peak_bytes"].as_u64() < plan["peak_bytes"].as_u64() && rank["sent_bytes"].as_u64() > Some(0)));
    let seconds = |value: &serde_json::Value| value.as_f64().unwrap();
    assert!(seconds(&plan["step_seconds_on_ranks"]) < seconds(&plan["predicted_seconds"]));
    let shares = json(&[&arguments[..], &["--token-shares", "3,1,1,1"]].concat());
    assert!(shares["ranks"][0]["tokens"].as_u64() > plan["ranks"][0]["tokens"].as_u64());
    assert!(complaint(&["plan", "--model", "tiny", "--seq-len", "100", "--ranks", "3"]).contains("too few for 3 ranks"));
    assert!(
        complaint(&["plan", "--model", "tiny", "--seq-len", "999", "--ranks", "3", "--token-shares", "1,2"]).contains("--token-shares")
    );
}

#[test]
fn plan_answers_without_a_gpu() {
    let plan = json(&["plan", "--model", "tiny", "--seq-len", "4096", "--chunk", "100", "--budget", "64MiB", "--json"]);
    assert_eq!(plan["chunk"], 128);
    assert_eq!(plan["unused_bytes"], 0);
    let kinds: u64 = plan["bytes_by_kind"].as_object().unwrap().values().map(|v| v.as_u64().unwrap()).sum();
    assert_eq!(kinds, plan["peak_bytes"].as_u64().unwrap());
    assert!(plan["max_seq_len"].as_u64().unwrap() > 4096);
    assert!(plan["peak_at"]["op"].is_string() && plan["flops"].as_u64().unwrap() > 0 && plan["ops"].as_u64().unwrap() > 0);
}

/// Frozen weights take two bytes or one; only adapters have gradients and moments.
#[test]
fn plan_tells_what_adapters_cost() {
    let arguments = ["plan", "--model", "tiny", "--seq-len", "1024", "--json"];
    let bytes = |more: &[&str], kind: &str| json(&[&arguments[..], more].concat())["bytes_by_kind"][kind].as_u64().unwrap();
    let full = bytes(&[], "weights");
    let lora = ["--lora-rank", "4", "--lora-targets", "q_proj,v_proj"];
    let half = bytes(&lora, "weights");
    let eighth = bytes(&[&lora[..], &["--frozen", "int8"]].concat(), "weights");
    assert!(half > full / 2 && half < full * 11 / 20 && eighth < full * 7 / 20, "{full}, {half} and {eighth} bytes");
    // In four layers A (4×128) of both, B (128×4) of queries and B (64×4) of values, in four bytes each.
    let adapters = 4 * 4 * (2 * 4 * 128 + 128 * 4 + 64 * 4);
    assert_eq!((bytes(&lora, "gradients"), bytes(&lora, "optimizer")), (adapters, 2 * adapters));
    let refused = run(&[&arguments[..], &["--lora-rank", "4", "--lora-targets", "qkv"]].concat());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("q_proj, k_proj"));
}

#[test]
fn a_plan_predicts_the_time_on_a_device_and_fits_chunks_to_it() {
    let plan = |more: &[&str]| json(&[&["plan", "--model", "medium", "--seq-len", "16384", "--json"], more].concat());
    let [h100, m1] = ["h100", "m1"].map(|device| plan(&["--device", device]));
    assert_eq!((&h100["device"], &m1["device"]), (&"NVIDIA H100".into(), &"Apple M1".into()));
    let seconds = |plan: &serde_json::Value| plan["predicted_seconds"].as_f64().unwrap();
    assert!(0.1 < seconds(&h100) && 10.0 * seconds(&h100) < seconds(&m1), "{} {}", seconds(&h100), seconds(&m1));
    assert_eq!(h100["chunk"], 2048);
    assert!(m1["chunk"].as_u64() < Some(2048), "an M1 is busy with less");
    assert!(plan(&[])["predicted_seconds"].is_null());
    let budget = plan(&["--device", "h100", "--budget", m1["peak_bytes"].to_string().as_str()]);
    assert!(budget["chunk"].as_u64() < Some(2048) && budget["peak_bytes"].as_u64() <= m1["peak_bytes"].as_u64());
    assert_eq!(plan(&["--chunk", "auto", "--logits-chunk", "64", "--device", "h100"])["logits_chunk"], 64);
    assert!(complaint(&["plan", "--model", "tiny", "--seq-len", "64", "--device", "abacus"]).contains("h100, rtx-4060, m1, iris-xe"));
    let wrong = run(&["plan", "--model", "tiny", "--seq-len", "64", "--chunk", "0"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("1 or more tokens, or auto"));
}

#[test]
fn plan_tells_what_is_saved_and_what_would_be_fastest() {
    let plan = |more: &[&str]| json(&[&["plan", "--model", "tiny", "--seq-len", "2048", "--json"], more].concat());
    let plain = plan(&[]);
    let saving = plan(&["--save-activations", "attention,mlp:2"]);
    assert_eq!((&saving["save_activations"], &plain["save_activations"]), (&"attention,mlp:2".into(), &"".into()));
    assert!(saving["flops"].as_u64() < plain["flops"].as_u64() && saving["peak_bytes"].as_u64() > plain["peak_bytes"].as_u64());
    let offloading = plan(&["--offload"]);
    assert_eq!((offloading["host_bytes"].as_u64(), plain["host_bytes"].as_u64()), (Some(3 * 2048 * 128 * 4), Some(0)));
    assert!(offloading["peak_bytes"].as_u64() < plain["peak_bytes"].as_u64());

    let budget = "40MiB";
    let fastest = plan(&["--budget", budget])["fastest"].clone();
    let [strategy, saved] = ["strategy", "save_activations"].map(|field| fastest[field].as_str().unwrap().to_owned());
    let [chunk, logits_chunk] = ["chunk", "logits_chunk"].map(|field| fastest[field].to_string());
    let named = plan(&["--strategy", &strategy, "--save-activations", &saved, "--chunk", &chunk, "--logits-chunk", &logits_chunk]);
    assert!(named["peak_bytes"].as_u64().unwrap() <= 40 << 20 && named["flops"].as_u64() < plain["flops"].as_u64(), "{fastest}");
    let refused = run(&["plan", "--model", "tiny", "--seq-len", "64", "--save-activations", "everything"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("\"everything\" cannot be saved; there are attention, keys_values"));
}

/// A budget alone chooses the strategy, with the same loss; a bare config.json is a model of bytes.
#[test]
fn a_budget_chooses_the_fastest_step() {
    let here = directory("budget");
    let config = small_model(&here).join("config.json");
    let data = here.join("text.txt");
    fs::write(&data, "All happy families are alike; each unhappy family is unhappy in its own way. ".repeat(20)).unwrap();
    let arguments = ["train", "--model", text(&config), "--data", text(&data), "--seq-len", "300", "--steps", "1", "--json"];
    let step = |more: &[&str]| json(&[&arguments[..], more].concat());
    let (small, large) = (step(&["--strategy", "stream"]), step(&["--budget", "1GiB"]));
    assert_eq!((&small["loss"], &small["grad_norm"]), (&large["loss"], &large["grad_norm"]));
    assert_eq!(large["peak_bytes"], step(&["--strategy", "standard"])["peak_bytes"]);
    let budget = small["peak_bytes"].to_string();
    assert!(step(&["--budget", &budget])["peak_bytes"].as_u64() <= small["peak_bytes"].as_u64());
}

#[test]
fn plan_writes_the_memory_of_the_step_over_time() {
    let path = directory("trace").join("step.pickle");
    let arguments = ["plan", "--model", "tiny", "--seq-len", "4096", "--trace"];
    assert!(run(&[&arguments[..], &[text(&path)]].concat()).status.success());
    let trace = fs::read(&path).unwrap();
    assert!(trace.starts_with(&[0x80, 4]) && trace.ends_with(b"."), "a pickle of protocol 4");
    let nowhere = path.join("step.pickle");
    assert!(complaint(&[&arguments[..], &[text(&nowhere)]].concat()).contains(text(&nowhere)));
}

#[test]
fn devices_names_an_adapter() {
    let devices = json(&["devices", "--json"]);
    assert!(!devices[0]["name"].as_str().unwrap().is_empty());
}

#[test]
fn a_report_tells_what_an_adapter_is_and_does() {
    let output = run(&["devices", "--report"]);
    let report = String::from_utf8(output.stdout).unwrap();
    for name in ["streambp", "adapter", "driver", "limits", "lacks", "ceilings", "self-check", "kernels", "gradients"] {
        assert!(report.lines().any(|line| line.starts_with(name)), "{name} is missing: {report}");
    }
    assert!(report.contains("the same bits, in ") && report.contains(" µs for a dispatch"), "{report}");
    let row = |op: &str| report.lines().any(|line| line.starts_with(&format!("| {op} |")));
    assert!(["attention", "linear", "linear_weight_grad", "cross_entropy"].into_iter().all(row), "{report}");
}

/// As in a container, where Mesa's driver would print an error.
#[test]
fn nobody_has_to_be_logged_in() {
    let output = Command::new(PROGRAM).arg("devices").env_remove("XDG_RUNTIME_DIR").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !stderr.contains("XDG_RUNTIME_DIR"), "{stderr}");
}

#[test]
fn what_goes_wrong_is_said_in_a_sentence() {
    let here = directory("complaints");
    let model = small_model(&here);
    let file = |name: &str, bytes: &[u8]| {
        let path = here.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let short = file("short.txt", b"too short");
    let binary = file("binary.txt", &[0xff, 0xfe, 0x00]);
    let empty = file("empty.txt", b"");
    let broken = here.join("broken");
    fs::create_dir_all(&broken).unwrap();
    fs::copy(model.join("config.json"), broken.join("config.json")).unwrap();
    let weights = fs::read(model.join("model.safetensors")).unwrap();
    fs::write(broken.join("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    let gpt2 = file("gpt2.json", br#"{"model_type": "gpt2"}"#);

    let train = |model: &Path, data: &Path, more: &[&str]| {
        let arguments = ["train", "--model", text(model), "--data", text(data), "--seq-len", "64", "--steps", "1"];
        complaint(&[&arguments[..], more].concat())
    };
    let own = Path::new("own");
    for (message, expected) in [
        (train(&model, &short, &[]), "9 bytes"),
        (train(&model, &binary, &[]), "UTF-8"),
        (train(&model, &empty, &[]), "empty"),
        (train(&model, &here.join("nowhere.txt"), &[]), "nowhere.txt"),
        (train(&broken, own, &[]), "model.safetensors"),
        (train(Path::new("huge"), own, &[]), "tiny, small, medium, large"),
        (train(&model, own, &["--adapter", "no such adapter"]), "no such adapter"),
        (train(&model, own, &["--budget", "100kB"]), "bytes, "),
        (train(&model, own, &["--lr", "0"]), "learning rate"),
        (complaint(&["plan", "--model", text(&gpt2), "--seq-len", "64"]), "model_type"),
    ] {
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_prompt_is_continued() {
    let here = directory("generate");
    let model = small_model(&here);
    let arguments = ["generate", "--model", text(&model), "--prompt", "fn main", "--tokens", "70", "--json"];
    let generated = json(&arguments);
    assert!(generated["text"].as_str().unwrap().starts_with("fn main"));
    assert_eq!(generated["tokens"].as_array().unwrap().len(), 70);
    assert_eq!(generated, json(&arguments));
}

#[test]
fn bench_and_verify_report_the_same_bits() {
    let here = directory("bench");
    let model = small_model(&here);
    let bench = json(&["bench", "--model", text(&model), "--seq-len", "200", "--chunk", "64,128", "--offload", "--steps", "1", "--json"]);
    assert_eq!(bench["same_bits"], true);
    let sides = bench["strategies"].as_array().unwrap().iter().map(|row| (row["strategy"].as_str().unwrap(), row["offload"] == true));
    let stream = [("stream", false), ("stream", true)];
    assert!(sides.eq([("standard", false), ("checkpoint", false)].into_iter().chain(stream).chain(stream)));
    assert!(bench["matmul_1024"].as_array().unwrap().iter().all(|form| form["gflops"].as_f64().unwrap() > 0.0));
    for row in bench["strategies"].as_array().unwrap() {
        assert_eq!(row["planned_bytes"], row["allocated_bytes"]);
        assert!(row["step_millis"]["median"].as_f64().unwrap() > 0.0 && row["adapter_peak_gflops"].as_f64().unwrap() > 0.0);
    }
    let verify = json(&["verify", "--model", text(&model), "--seq-len", "150", "--batch", "2", "--json"]);
    assert_eq!(verify["same_bits"], true);
    assert!(verify["parameters"].as_array().unwrap().iter().all(|p| p["error"].as_f64().unwrap() < 1e-5));
}

/// Each kind of operation of a step without its update is listed once, before the step as a whole.
#[test]
fn verify_shows_errors_by_operation() {
    let model = small_model(&directory("by-operation"));
    let arguments = ["verify", "--model", text(&model), "--seq-len", "70", "--chunks", "64", "--by-operation"];
    let report = json(&[&arguments[..], &["--json"]].concat());
    let rows = report["by_operation"].as_array().unwrap();
    let mut operations: Vec<&str> = rows.iter().map(|row| row["operation"].as_str().unwrap()).collect();
    assert_eq!(operations.pop(), Some("all"));
    operations.sort_unstable();
    let attention = ["attention", "attention_key_value_grad", "attention_query_grad"];
    let ends = ["cross_entropy", "embedding", "embedding_grad", "glu", "glu_grad"];
    let linear = ["linear", "linear_grad", "linear_weight_grad", "log_sum_exp", "loss"];
    let norms = ["rms_norm", "rms_norm_grad", "rms_norm_weight_grad", "rope", "zero"];
    assert_eq!(operations, [&attention[..], &ends, &linear, &norms].concat());
    let parameters = report["parameters"].as_array().unwrap();
    for row in rows {
        for errors in [&row["on_device"], &row["rounded"]] {
            assert!(errors["median"].as_f64().unwrap() <= errors["worst"].as_f64().unwrap());
            assert!(parameters.iter().any(|parameter| parameter["name"] == errors["worst_parameter"]));
            assert_eq!(errors["errors"].as_array().unwrap().len(), parameters.len());
        }
    }
    let error = |parameter: &serde_json::Value| parameter["error"].clone();
    assert_eq!(rows.last().unwrap()["on_device"]["errors"], parameters.iter().map(error).collect::<serde_json::Value>());

    let table = String::from_utf8(run(&arguments).stdout).unwrap();
    let lines: Vec<&str> = table.lines().skip_while(|line| !line.starts_with("error of the gradients")).collect();
    let named = lines[3..].iter().map(|line| line.split(' ').next().unwrap());
    assert!(named.eq(rows.iter().map(|row| row["operation"].as_str().unwrap())), "{table}");
    assert_eq!(run(&[&arguments[..], &["--no-reference"]].concat()).status.code(), Some(2), "there is nothing to compare with");
}

/// The batch of a verification is the one that training begins with.
#[test]
fn verify_takes_the_first_batch_of_data() {
    let here = directory("verify-data");
    let model = small_model(&here);
    let data = here.join("text.txt");
    fs::write(&data, "All happy families are alike; each unhappy family is unhappy in its own way. ".repeat(20)).unwrap();
    let options = ["--model", text(&model), "--data", text(&data), "--seq-len", "100", "--batch", "2", "--seed", "3", "--json"];
    let verify = json(&[&["verify", "--chunks", "64", "--no-reference"], &options[..]].concat());
    let step = json(&[&["train", "--steps", "1"], &options[..]].concat());
    assert_eq!(verify["runs"][0]["loss"].as_f64().unwrap() as f32, step["loss"].as_f64().unwrap() as f32);
    let bytes = complaint(&["verify", "--model", text(&model), "--seq-len", "100", "--tokenizer", "tokenizer.json"]);
    assert!(bytes.contains("own is made of bytes"), "{bytes}");
}
