//! The promises of the plan: the device's bytes, their growth with the sequence length, and the time of planning.

use std::time::{Duration, Instant};

use streambp::gpu::{DeviceMemory, Executor, Gpu, Kernels};
use streambp::model::{ActivationDtype, Config, Dtype, ModelSpec, ModelType, PRESETS, Parameters, Projection};
use streambp::step::roll_out::RollOutShape;
use streambp::step::{
    BatchShape, DpoSettings, GrpoSettings, Limits, Objective, Plan, Program, Storage, Strategy, StrategyKind, Tensor, TensorKind,
};
use streambp::train::longest_sequence;

use crate::support::{device, model};

fn plan(config: &Config, shape: BatchShape, strategy: Strategy) -> Plan {
    Plan::new(Program::train(config, shape, strategy), Limits::NONE).unwrap()
}

#[test]
fn the_device_holds_what_was_planned_to_the_byte() {
    let adapted = model::lora(&PRESETS[0].config, &Projection::ALL, Dtype::Bf16);
    let full = [model::odd_config(), PRESETS[0].config.clone()].into_iter().chain(model::families()).chain(model::windows());
    let rounded = [ModelSpec::from(&model::odd_config()), adapted.clone()].map(|spec| spec.with_activation_dtype(ActivationDtype::Bf16));
    for spec in full.map(|config| ModelSpec::from(&config)).chain([adapted]).chain(rounded) {
        let saving = Strategy::stream(128, 64).saving("attention,keys_values:1,mlp:1".parse().unwrap());
        let plain = StrategyKind::ALL.map(|kind| Strategy::new(kind, 128, 64));
        let grouped = [saving, saving.offloading(true)].map(|strategy| strategy.with_layer_group(2));
        for strategy in plain.into_iter().chain([saving, saving.offloading(true), saving.with_adaptive_chunks(true)]).chain(grouped) {
            let objectives = [
                Objective::Dpo(DpoSettings::default()),
                Objective::Grpo(GrpoSettings { beta: 0.1, has_old_log_probs: true, ..GrpoSettings::default() }),
            ];
            let batches = [vec![300], vec![1], vec![70, 1, 130]].map(|lengths| (Objective::CrossEntropy, lengths));
            for (objective, lengths) in batches.into_iter().chain(objectives.map(|objective| (objective, vec![70, 130]))) {
                let program = Program::train_for(objective, &spec, BatchShape::packed(lengths), strategy);
                let plan = Plan::new(program, device::gpu().limits()).unwrap();
                let memory = pollster::block_on(DeviceMemory::new(&device::gpu(), &plan)).unwrap();
                assert_eq!(memory.created_bytes(), plan.peak_bytes(), "{strategy:?}");
                assert_eq!(memory.host_bytes(), plan.host_bytes(), "{strategy:?}");
            }
        }
    }
}

/// lavapipe ends the loops of a thread after 65,535 iterations, and says nothing: a norm of 16 heads exceeds that with some 100,000 tokens.
#[test]
fn a_loop_that_a_driver_would_end_is_refused() {
    let config = Config { model_type: ModelType::Qwen3, num_attention_heads: 16, ..model::odd_config() };
    let kernels = |strategy| {
        let program = Program::gradients(&config, BatchShape::packed(vec![1000; 200]), strategy);
        Kernels::new(&device::gpu(), Plan::new(program, Limits::NONE).unwrap()).map(|_| ())
    };
    kernels(Strategy::stream(64, 64)).unwrap();
    if device::gpu().name().contains("llvmpipe") {
        let error = kernels(Strategy::CHECKPOINT).unwrap_err().to_string();
        assert!(error.contains("use stream, with chunks of at most"), "{error}");
    }
}

#[test]
fn every_buffer_is_counted_while_it_lives() {
    pollster::block_on(async {
        let gpu = Gpu::open(None).await.unwrap();
        let config = model::odd_config();
        let executor = async |gpu: &Gpu, program: Program| {
            let plan = Plan::new(program, gpu.limits()).unwrap();
            Executor::new(Kernels::new(gpu, plan).unwrap()).await.unwrap()
        };
        let roll_out = Program::roll_out(&config, RollOutShape { prompt: 100, rows: 8, completion: 30 });
        let step = Program::train(&config, BatchShape::uniform(1, 100), Strategy::stream(64, 64));
        let step = executor(&gpu, step).await;
        assert_eq!(gpu.buffers(), [("step", step.created_bytes())]);
        let samples = executor(&gpu.used_for("samples"), roll_out).await;
        assert_eq!(gpu.buffers(), [("samples", samples.created_bytes()), ("step", step.created_bytes())]);
        step.read(step.program().bindings.metrics).await.unwrap();
        drop(samples);
        assert_eq!(gpu.buffers(), [("step", step.created_bytes())], "the buffer of a read-back should be freed at once");
        drop(step);
        assert_eq!(gpu.buffers(), []);
    });
}

/// As the page's inspector does with live tensors.
#[test]
fn every_tensor_but_the_read_back_can_be_read() {
    let program = Program::train(&model::odd_config(), BatchShape::uniform(1, 100), Strategy::stream(64, 64).offloading(true));
    let executor = device::executor(&program, device::own_tuning());
    for (id, tensor) in program.tensors().filter(|(_, tensor)| tensor.storage != Storage::ReadBack) {
        let read = pollster::block_on(executor.read(id)).unwrap_or_else(|error| panic!("{}: {error}", tensor.name));
        assert_eq!(read.len() as u64, tensor.bytes(), "{}", tensor.name);
    }
}

#[test]
fn presets_are_packed_without_gaps() {
    for preset in PRESETS {
        for kind in StrategyKind::ALL {
            for seq_len in [256, 1024, 5000, 65_536] {
                let memory = plan(&preset.config, BatchShape::uniform(1, seq_len), Strategy::new(kind, 256, 128));
                assert_eq!(memory.unused_bytes(), 0, "{}, {kind}, {seq_len} tokens", preset.name);
            }
        }
    }
}

/// `4 · ((L+1)·D + 4·K·E)` bytes per token, for any vocabulary, plus 2% for other data of a token.
#[test]
fn a_token_more_costs_stream_no_more_than_promised() {
    for preset in PRESETS {
        for vocab_size in [256, 32_000, 128_256] {
            let config = Config { vocab_size, ..preset.config.clone() };
            let peak = |tokens| plan(&config, BatchShape::uniform(1, tokens), Strategy::stream(256, 128)).peak_bytes();
            let (short, long) = (1 << 14, 1 << 17);
            let per_token = (peak(long) - peak(short)) as f64 / f64::from(long - short);
            let elements = (config.num_hidden_layers + 1) * config.hidden_size + 4 * config.num_key_value_heads * config.head_dim;
            let promised = 4.0 * f64::from(elements);
            assert!(per_token <= 1.02 * promised, "{}: {per_token} bytes per token, more than the promised {promised}", preset.name);
        }
    }
}

/// `2·(L−1)·D + 4·D + (2 + 4)·2·K·E` bytes per token with activations in bf16, plus 2% for other data of a token.
#[test]
fn a_token_more_costs_half_with_activations_in_bf16() {
    for preset in PRESETS {
        let spec = ModelSpec::from(&preset.config).with_activation_dtype(ActivationDtype::Bf16);
        let peak = |tokens| {
            let program = Program::train(&spec, BatchShape::uniform(1, tokens), Strategy::stream(256, 128));
            Plan::new(program, Limits::NONE).unwrap().peak_bytes()
        };
        let (short, long) = (1 << 14, 1 << 17);
        let per_token = (peak(long) - peak(short)) as f64 / f64::from(long - short);
        let Config { num_hidden_layers, hidden_size, num_key_value_heads, head_dim, .. } = preset.config;
        let promised = 2 * (num_hidden_layers - 1) * hidden_size + 4 * hidden_size + (2 + 4) * 2 * num_key_value_heads * head_dim;
        assert!(per_token <= 1.02 * f64::from(promised), "{}: {per_token} bytes per token, promised are {promised}", preset.name);
    }
}

/// `4 · ((L/g)·D + D + 4·g·K·E)` bytes per token for groups of g layers, plus 2% for other data of a token.
#[test]
fn a_token_more_costs_groups_no_more_than_promised() {
    for preset in PRESETS {
        let config = &preset.config;
        let layers = config.num_hidden_layers;
        for group in [1, 2, 3, layers] {
            let strategy = Strategy::stream(256, 128).with_layer_group(group);
            let peak = |tokens| plan(config, BatchShape::uniform(1, tokens), strategy).peak_bytes();
            let (short, long) = (1 << 14, 1 << 17);
            let per_token = (peak(long) - peak(short)) as f64 / f64::from(long - short);
            let keys_values = 4 * group * config.num_key_value_heads * config.head_dim;
            let promised = 4.0 * f64::from(layers.div_ceil(group) * config.hidden_size + config.hidden_size + keys_values);
            assert!(per_token <= 1.02 * promised, "{}, groups of {group}: {per_token} bytes per token, not {promised}", preset.name);
        }
    }
}

/// With layer inputs offloaded to the host, the bytes per token do not depend on the number of layers, to the byte.
#[test]
fn a_token_more_costs_one_hidden_state_where_inputs_wait_on_the_host() {
    for config in PRESETS.iter().map(|preset| &preset.config) {
        let memory = |tokens| plan(config, BatchShape::uniform(1, tokens), Strategy::stream(256, 128).offloading(true));
        let [short, long] = [1 << 14, 1 << 17].map(memory);
        let more = u64::from((1u32 << 17) - (1 << 14));
        let elements = config.hidden_size + 4 * config.num_key_value_heads * config.head_dim;
        let batch_bytes = 4 * 6 + 4 * config.head_dim / 64 + 256 / 256 + 256 / 128;
        assert_eq!(long.peak_bytes() - short.peak_bytes(), more * u64::from(4 * elements + batch_bytes));
        let inputs = 4 * (config.num_hidden_layers - 1) * config.hidden_size;
        assert_eq!(long.host_bytes() - short.host_bytes(), more * u64::from(inputs));
        assert!(
            more * u64::from(4 * elements + batch_bytes) <= more * u64::from(4 * (2 * config.hidden_size + elements)),
            "more than the promise"
        );
        assert_eq!(short.unused_bytes(), 0);
    }
}

/// If every layer has a sliding window, one more token costs its rows in the layer inputs, but no keys and values, to the byte.
#[test]
fn a_token_more_costs_no_keys_where_all_layers_have_a_window() {
    for config in PRESETS.iter().map(|preset| &preset.config) {
        for model_type in [ModelType::Mistral, ModelType::Gemma3Text] {
            let sliding_layers = vec![true; config.num_hidden_layers as usize];
            let config = Config { model_type, sliding_window: 1000, sliding_layers, ..config.clone() };
            let peak = |tokens| plan(&config, BatchShape::uniform(1, tokens), Strategy::stream(256, 128)).peak_bytes();
            let (short, long) = (1 << 14, 1 << 17);
            let inputs = 4 * config.num_hidden_layers * config.hidden_size;
            let batch_bytes = 4 * 6 + 4 * config.head_dim / 64 + 256 / 256 + 256 / 128;
            assert_eq!(peak(long) - peak(short), u64::from(long - short) * u64::from(inputs + batch_bytes), "{model_type:?}");
        }
    }
}

/// The keys and values of layers with a sliding window do not grow with the batch; those of other layers do.
#[test]
fn keys_of_a_window_take_no_more_however_long_the_batch() {
    for config in model::windows().into_iter().chain(model::families()) {
        let bytes = |tokens| {
            let program = Program::train(&config, BatchShape::uniform(1, tokens), Strategy::stream(64, 64));
            let of_layer = |layer| {
                let is_key =
                    |t: &&Tensor| t.layer == Some(layer) && matches!(t.kind, TensorKind::KeysValues | TensorKind::KeysValuesGradients);
                program.tensors.iter().filter(is_key).map(Tensor::bytes).sum::<u64>()
            };
            (0..config.num_hidden_layers).map(of_layer).collect::<Vec<u64>>()
        };
        for (layer, (short, long)) in (0..).zip(bytes(1000).into_iter().zip(bytes(3000))) {
            let expected = if config.window(layer).is_some() { short } else { 3 * short };
            assert_eq!(long, expected, "{:?}, layer {layer}", config.model_type);
        }
    }
}

#[test]
fn a_million_tokens_are_planned_in_a_second() {
    let config = Config {
        hidden_size: 2048,
        intermediate_size: 8192,
        num_hidden_layers: 16,
        num_attention_heads: 32,
        num_key_value_heads: 8,
        head_dim: 64,
        vocab_size: 128_256,
        ..PRESETS[0].config.clone()
    };
    let start = Instant::now();
    let memory = plan(&config, BatchShape::uniform(1, 1_000_000), Strategy::stream(512, 512).with_adaptive_chunks(true));
    let cost = memory.program().step_cost();
    let elapsed = start.elapsed();
    assert!(memory.peak_bytes() > 0 && cost.flops > 0);
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
}

#[test]
fn no_buffer_is_larger_than_the_device_allows() {
    let program = Program::train(&PRESETS[0].config, BatchShape::uniform(1, 5000), Strategy::STANDARD);
    let largest = program.tensors.iter().map(Tensor::bytes).max().unwrap();
    let limits = Limits { buffer: largest + 1000, binding: largest };
    let memory = Plan::new(program, limits).unwrap();
    assert!(memory.buffers().iter().all(|buffer| buffer.bytes <= limits.buffer));
    for (id, tensor) in memory.program().tensors() {
        let allocation = memory.allocation(id);
        assert!(allocation.offset + tensor.bytes() <= memory.buffers()[allocation.buffer].bytes, "{}", tensor.name);
    }
}

#[test]
fn a_tensor_that_cannot_be_bound_is_named() {
    let program = |strategy| Program::train(&PRESETS[0].config, BatchShape::uniform(1, 5000), strategy);
    let limits = Limits { buffer: 1 << 30, binding: 2500 * 384 * 4 - 1 };
    let error = Plan::new(program(Strategy::stream(2500, 64)), limits).unwrap_err().to_string();
    assert!(error.contains("layers.0.gate") && error.contains("shorter chunks"), "{error}");
    // Where a chunk is the batch, its tensors lie in pieces.
    for strategy in [Strategy::STANDARD, Strategy::stream(64, 64)] {
        let plan = Plan::new(program(strategy), limits).unwrap();
        assert!(plan.program().tensors.iter().all(|tensor| tensor.piece_bytes(0) <= limits.binding));
    }
}

#[test]
fn frozen_weights_cost_what_they_are_stored_in() {
    let config = &PRESETS[0].config;
    for (frozen, bytes) in [(Dtype::Bf16, 2.0), (Dtype::F16, 2.0), (Dtype::Int8, 1.125)] {
        let spec = model::lora(config, &[Projection::Query], frozen);
        let program = Program::train(&spec, BatchShape::uniform(1, 100), Strategy::stream(64, 64));
        let plan = Plan::new(program, device::gpu().limits()).unwrap();
        let program = plan.program();
        let memory = pollster::block_on(DeviceMemory::new(&device::gpu(), &plan)).unwrap();
        assert_eq!(memory.created_bytes(), plan.peak_bytes());
        for (id, parameter) in Parameters::new(&spec).iter().filter(|(_, p)| p.rows.is_some() && !p.is_trainable) {
            let planned: u64 = program.slices(id).iter().map(|slice| program.tensor(slice.value).bytes()).sum();
            assert_eq!(planned as f64, bytes * parameter.elements() as f64, "{}", parameter.name);
            let is_frozen = program.slices(id).iter().all(|slice| slice.gradient.is_none() && slice.moments.is_none());
            assert!(is_frozen, "{}", parameter.name);
        }
    }
}

/// In the memory that `checkpoint` needs for groups of eight with completions of 512 tokens behind prompts of as many, `stream` trains on
/// longer ones, roll-outs included.
#[test]
fn completions_are_several_times_as_long() {
    let medium = PRESETS.iter().find(|preset| preset.name == "medium").unwrap().config.clone();
    let spec = ModelSpec::from(&Config { vocab_size: 32_000, ..medium });
    let bytes = |completion: u32, strategy| {
        let grpo = GrpoSettings { num_generations: 8, max_completion_length: completion, ..GrpoSettings::default() };
        let program = Program::train_for(Objective::Grpo(grpo), &spec, BatchShape::uniform(8, 2 * completion), strategy);
        Plan::new(program, Limits::NONE).unwrap().peak_bytes()
    };
    let (budget, longer) = (bytes(512, Strategy::CHECKPOINT), bytes(6 * 512, Strategy::stream(512, 512)));
    assert!(longer <= budget, "{longer} of {budget} bytes");
}

/// In the memory that `checkpoint` needs for pairs of 2,048 tokens a sequence, `stream` trains on longer ones.
#[test]
fn pairs_are_several_times_as_long() {
    let objective = Objective::Dpo(DpoSettings::default());
    let bytes = PRESETS.iter().find(|preset| preset.name == "medium").unwrap().config.clone();
    let words = Config { vocab_size: 32_000, ..bytes.clone() };
    for (config, times) in [(words, 6.0), (bytes, 2.2)] {
        let spec = ModelSpec::from(&config);
        let program = Program::train_for(objective, &spec, BatchShape::uniform(2, 2048), Strategy::CHECKPOINT);
        let budget = Plan::new(program, Limits::NONE).unwrap().peak_bytes();
        let longest = longest_sequence(objective, &spec, 2, Strategy::stream(512, 512), budget, Limits::NONE).unwrap();
        assert!(f64::from(longest) >= times * 2048.0, "{longest} tokens of {} words", config.vocab_size);
    }
}
