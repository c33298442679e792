//! LoRA adapters: gradients and logits against PEFT's in float64, and files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use streambp::model::{Config, Dtype, Lora, ModelSpec, Parameters, Projection, Role, Weights};
use streambp::step::roll_out::RollOutShape;
use streambp::step::{BatchShape, Chunk, Op, Pass, Program, Rows, Storage, Strategy, Tensor, TensorKind};
use streambp::train::{Decoding, Sampling};

use crate::command_line::{directory, run, small_model};
use crate::support::fixture::{AdapterFixture, LORA_NAMES};
use crate::support::{compare, device, level, model};

#[test]
fn the_reference_computes_what_peft_computes() {
    for name in LORA_NAMES {
        let fixture = AdapterFixture::read(name);
        let (loss, gradients) = model::reference_step(&fixture.spec, &fixture.weights, &fixture.batch, Strategy::stream(64, 64));
        compare::norm(&format!("{name} loss"), &[loss], &[fixture.loss], 1e-12).unwrap();
        for ((_, parameter), gradient) in Parameters::new(&fixture.spec).trainable().zip(&gradients) {
            compare::norm(&format!("{name} {}", parameter.name), gradient, &fixture.expected(&parameter.name), 1e-11).unwrap();
        }
    }
}

#[test]
fn the_device_computes_what_peft_computes_with_the_same_bits_in_every_strategy() {
    let streams = [Strategy::stream(64, 64), Strategy::stream(128, 64), Strategy::stream(192, 128)];
    let others = [Strategy::STANDARD, streams[1], Strategy::CHECKPOINT, streams[2], streams[0].with_logits_bytes(1)];
    for (number, name) in LORA_NAMES.into_iter().enumerate() {
        let fixture = AdapterFixture::read(name);
        let mut first: Option<Vec<u32>> = None;
        for strategy in [streams[0]].into_iter().chain(level::share(others, 2, number)) {
            let program = Program::gradients(&fixture.spec, fixture.batch.shape.clone(), strategy);
            let mut executor = model::device_executor(&program, device::own_tuning(), &fixture.weights, &fixture.batch);
            let step = model::device_step(&mut executor);
            for ((_, parameter), gradient) in program.parameters.trainable().zip(&step.gradients) {
                let gradient: Vec<f64> = gradient.iter().map(|&value| f64::from(value)).collect();
                compare::norm(&format!("{name} {}", parameter.name), &gradient, &fixture.expected(&parameter.name), 1e-5).unwrap();
            }
            assert!(*first.get_or_insert_with(|| step.bits()) == step.bits(), "{name}, {strategy:?}");
        }
    }
}

#[test]
fn a_merged_model_computes_what_the_unmerged_one_does() {
    for name in LORA_NAMES {
        let fixture = AdapterFixture::read(name);
        let unmerged = logits(&fixture, &fixture.spec, &fixture.weights);
        compare::norm(&format!("{name} logits"), &unmerged, &fixture.first_sequence("logits"), 1e-5).unwrap();
        let out = directory(&format!("merged_{name}"));
        merge(&fixture.directory, &fixture.directory.join("adapter"), &out, &["--dtype", "f32"]);
        let (config, weights) = model::stored(&out);
        let merged = logits(&fixture, &ModelSpec::from(&config), &weights);
        compare::norm(&format!("{name} merged logits"), &merged, &fixture.first_sequence("merged_logits"), 1e-5).unwrap();
        compare::norm(&format!("{name} merged and unmerged"), &merged, &unmerged, 1e-5).unwrap();
    }
}

/// Two bytes per parameter in the plan and in the buffers; the matrices are exactly those of the file.
#[test]
fn frozen_weights_lie_on_the_device_as_in_the_file() {
    for name in LORA_NAMES {
        let fixture = AdapterFixture::read(name);
        let program = Program::gradients(&fixture.spec, fixture.batch.shape.clone(), Strategy::stream(64, 64));
        let executor = model::device_executor(&program, device::own_tuning(), &fixture.weights, &fixture.batch);
        assert_eq!(executor.created_bytes(), executor.plan().peak_bytes());
        let file = fs::read(fixture.directory.join("model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&file).unwrap();
        for (id, parameter) in program.parameters.iter().filter(|(_, p)| p.rows.is_some() && !p.is_trainable) {
            let [slice] = program.slices(id) else { panic!("{} has several slices", parameter.name) };
            let padded = u64::from(parameter.padded_rows()) * u64::from(parameter.padded_cols());
            assert_eq!(program.tensor(slice.value).bytes(), 2 * padded);
            let stored = pollster::block_on(executor.read(slice.value)).unwrap();
            let loaded: Vec<u16> = bytemuck::pod_collect_to_vec(&stored);
            let expected: Vec<u16> = bytemuck::pod_collect_to_vec(file.tensor(&parameter.name).unwrap().data());
            assert_eq!(parameter.unpad(&loaded), expected, "{}", parameter.name);
        }
    }
}

/// Logits of the first sequence of the fixture's batch, computed token by token.
fn logits(fixture: &AdapterFixture, spec: &ModelSpec, weights: &Weights) -> Vec<f64> {
    let length = fixture.batch.shape.lengths()[0];
    let shape = RollOutShape { prompt: 1, rows: 1, completion: length };
    let mut program = Program::roll_out(spec.clone(), shape);
    let sampled = program.blocks[0].nodes.iter().find_map(|node| if let Op::Sample(op) = node.op { Some(op) } else { None }).unwrap();
    // So that it can be read.
    program.tensors[sampled.logits.0 as usize].storage = Storage::Own;
    let executor = &mut device::executor(&program, device::own_tuning());
    pollster::block_on(executor.load(weights)).unwrap();
    Decoding::start(executor, &[0], Sampling::default(), [0; 32], 0..1).unwrap();
    let vocab = spec.config.vocab_size as usize;
    let mut logits: Vec<f64> = Vec::new();
    for place in 0..length {
        // Instead of what was sampled.
        let ids: Vec<u32> = [0].into_iter().chain(fixture.batch.input_ids[..=place as usize].iter().copied()).collect();
        executor.write(sampled.input_ids, bytemuck::cast_slice(&ids));
        executor.run_chunk(0, Chunk { index: 0, start: shape.first_token() + place, count: 1 }).unwrap();
        logits.extend(&device::read_f64(executor, sampled.logits)[..vocab]);
    }
    match spec.config.final_logit_softcapping {
        Some(cap) => logits.into_iter().map(|logit| cap * (logit / cap).tanh()).collect(),
        None => logits,
    }
}

fn merge(model: &Path, adapter: &Path, out: &Path, more: &[&str]) {
    let [model, adapter, out] = [model, adapter, out].map(|path| path.to_str().unwrap());
    let output = run(&[&["merge", "--model", model, "--lora", adapter, "--out", out], more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The program trains, saves, resumes, loads and merges adapters: the base model is unchanged, and the loss is the same every way.
#[test]
fn adapters_go_through_files() {
    let here = directory("adapters");
    let base = small_model(&here);
    let before = fs::read(base.join("model.safetensors")).unwrap();
    let model = base.to_str().unwrap();
    let train = |out: &Path, more: &[&str]| {
        let arguments = ["train", "--model", model, "--data", "own", "--seq-len", "96", "--lr", "1e-2", "--warmup", "1", "--json"];
        let output = run(&[&arguments[..], &["--checkpoint-every", "4", "--out", out.to_str().unwrap()], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let lora = ["--lora-rank", "3", "--lora-alpha", "6", "--lora-targets", "v_proj,down_proj,q_proj", "--frozen", "f32"];
    let (whole, halves) = (here.join("whole"), here.join("halves"));
    train(&whole, &[&lora[..], &["--steps", "8"]].concat());
    let files: Vec<_> = fs::read_dir(&whole).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(["adapter_config.json", "adapter_model.safetensors"].iter().all(|name| files.contains(&(*name).to_owned())), "{files:?}");
    assert!(!files.contains(&"model.safetensors".to_owned()), "{files:?}");
    assert_eq!(fs::read(base.join("model.safetensors")).unwrap(), before);

    train(&halves, &[&lora[..], &["--steps", "8"]].concat());
    fs::remove_file(halves.join("adapter_model.safetensors")).unwrap();
    train(&halves, &[&lora[..], &["--steps", "8", "--resume"]].concat());
    let adapter = |directory: &Path| fs::read(directory.join("adapter_model.safetensors")).unwrap();
    assert!(adapter(&whole) == adapter(&halves));

    let batch = here.join("batch.safetensors");
    fs::write(&batch, fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/long_rope/batch.safetensors")).unwrap()).unwrap();
    let loss = |model: &Path, more: &[&str]| {
        let out = here.join("gradients.safetensors");
        let arguments =
            ["grad", "--model", model.to_str().unwrap(), "--batch", batch.to_str().unwrap(), "--out", out.to_str().unwrap(), "--json"];
        let output = run(&[&arguments[..], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        printed["loss"].as_f64().unwrap()
    };
    let merged = here.join("merged");
    merge(&base, &whole, &merged, &[]);
    let adapted = loss(&base, &["--lora", whole.to_str().unwrap(), "--frozen", "f32"]);
    assert!((adapted / loss(&base, &[]) - 1.0).abs() > 1e-4, "eight steps should change the loss");
    assert!((adapted / loss(&merged, &[]) - 1.0).abs() < 1e-6);
    train(&here.join("further"), &["--lora", whole.to_str().unwrap(), "--steps", "2"]);
}

/// Layers below the lowest adapter have no backward pass, keep no input and no activation.
#[test]
fn frozen_layers_below_all_adapters_cost_a_forward_pass() {
    let config = Config { num_hidden_layers: 5, ..model::odd_config() };
    let spec = model::lora_in(&config, &[2, 3]);
    for strategy in [Strategy::STANDARD, Strategy::stream(64, 64), Strategy::stream(64, 64).offloading(true)] {
        let program = Program::gradients(&spec, BatchShape::uniform(1, 200), strategy);
        let layers = |pass| -> BTreeSet<u32> { program.blocks.iter().filter(|b| b.pass == pass).flat_map(|b| b.layers.clone()).collect() };
        assert_eq!(layers(Pass::Forward), BTreeSet::from([0, 1, 2, 3, 4]));
        assert_eq!(layers(Pass::Backward), BTreeSet::from([2, 3, 4]));
        // Keys and values of a layer have all tokens, but only while the layer is computed.
        let is_kept = |t: &&Tensor| t.rows == Rows::Tokens && t.storage != Storage::Own && t.kind != TensorKind::KeysValues;
        let mut kept = program.tensors.iter().filter(is_kept);
        assert!(kept.all(|tensor| tensor.layer.is_none_or(|layer| layer >= 2)), "{strategy:?}");
    }
}

#[test]
fn adapters_of_some_layers_go_through_files() {
    let here = directory("adapted_layers");
    let base = small_model(&here);
    let (out, further) = (here.join("out"), here.join("further"));
    let train = |out: &Path, more: &[&str]| {
        let arguments = ["train", "--model", base.to_str().unwrap(), "--data", "own", "--seq-len", "96", "--steps", "2", "--json"];
        run(&[&arguments[..], &["--out", out.to_str().unwrap()], more].concat())
    };
    let lora = ["--lora-rank", "2", "--lora-targets", "q_proj", "--lora-layers"];
    let refused = train(&out, &[&lora[..], &["0-7"]].concat());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the model has the layers 0 to 1"));
    assert!(train(&out, &[&lora[..], &["1"]].concat()).status.success());
    let settings = || serde_json::from_slice::<serde_json::Value>(&fs::read(out.join("adapter_config.json")).unwrap()).unwrap();
    assert_eq!(settings()["layers_to_transform"], serde_json::json!([1]));
    let adapter = fs::read(out.join("adapter_model.safetensors")).unwrap();
    let names = SafeTensors::deserialize(&adapter).unwrap().names().len();
    assert_eq!(names, 2);
    let output = train(&further, &["--lora", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    merge(&base, &out, &here.join("merged"), &[]);

    // A list that the tensors do not match is refused by the name of a tensor.
    let with = |layers: serde_json::Value| {
        let mut changed = settings();
        changed["layers_to_transform"] = layers;
        fs::write(out.join("adapter_config.json"), changed.to_string()).unwrap();
        String::from_utf8(train(&here.join("none"), &["--lora", out.to_str().unwrap()]).stderr).unwrap()
    };
    assert!(with(serde_json::json!(null)).contains("has no tensor base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"));
    assert!(with(serde_json::json!([0, 1])).contains("has no tensor base_model.model.model.layers.0"));
    let other = with(serde_json::json!([0]));
    assert!(other.contains("layers.0") || other.contains("layers.1"), "{other}");
}

/// Invalid options are refused; targets are sorted, and duplicates are removed.
#[test]
fn invalid_options_of_adapters_are_refused() {
    let config = model::odd_config();
    let lora = |rank, alpha, targets| ModelSpec::lora(&config, Lora { rank, alpha, use_rslora: false, targets, layers: None }, Dtype::Bf16);
    assert!(lora(0, 1.0, vec![Projection::Query]).unwrap_err().to_string().contains("rank"));
    assert!(lora(1, f64::NAN, vec![Projection::Query]).unwrap_err().to_string().contains("alpha"));
    assert!(lora(1, 1.0, Vec::new()).unwrap_err().to_string().contains("q_proj"));
    let twice = lora(2, 1.0, vec![Projection::Down, Projection::Query, Projection::Down]).unwrap();
    assert_eq!(twice.adapters().unwrap().targets, [Projection::Query, Projection::Down]);
    let parameters = Parameters::new(&twice);
    assert_eq!(parameters.trainable().count(), 2 * 2 * config.num_hidden_layers as usize);
    assert!(parameters.get_if_any(Role::LoraA(Projection::Key), Some(0)).is_none());
}
