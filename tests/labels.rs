//! What nobody needs of token tiles without labels is left out, and not a bit of the results depends on it.

use streambp::gpu::{DispatchLimit, Executor, Tuning};
use streambp::model::{Config, Dtype, ModelSpec, PRESETS, Projection, Weights};
use streambp::step::ops::Linear;
use streambp::step::{Batch, DpoSettings, IGNORED_LABEL, Objective, Op, Pass, Program, Storage, Strategy, TOKEN_TILE, TensorId};

use crate::support::model::{self, DeviceStep};
use crate::support::{device, level};

const LENGTHS: [u32; 4] = [130, 70, 1, 311];

/// A batch with labels of these tokens only.
fn batch(config: &Config, has_label: impl Fn(u32) -> bool) -> Batch {
    let mut batch = model::batch(config, &LENGTHS, 11);
    let labels =
        (0..).zip(&batch.labels).map(|(token, &label)| if has_label(token) { label.min(config.vocab_size - 1) } else { IGNORED_LABEL });
    batch.labels = labels.collect();
    let count = batch.count();
    batch.averaged_over(count)
}

/// Labels at the ends of sequences, as answers have; within a tile in the middle; and nowhere.
fn batches(config: &Config) -> Vec<Batch> {
    let answers = |token| (118..130).contains(&token) || token == 199 || token >= 480;
    vec![batch(config, answers), batch(config, |token| token == 300), batch(config, |_| false)]
}

fn strategies() -> Vec<Strategy> {
    let adaptive = Strategy::stream(64, 64).with_adaptive_chunks(true);
    let stream = [Strategy::stream(64, 64), Strategy::stream(192, 128), adaptive, Strategy::stream(128, 64).offloading(true)];
    [Strategy::STANDARD, Strategy::CHECKPOINT].into_iter().chain(stream).chain(model::selective_strategies()).collect()
}

/// What is left out must not be read: not a number stands there.
fn poison(executor: &Executor) {
    let in_arena = |id: &TensorId| executor.program().tensor(*id).storage == Storage::Arena;
    let ids: Vec<TensorId> = executor.program().tensors().map(|(id, _)| id).filter(in_arena).collect();
    ids.into_iter().for_each(|id| executor.write(id, &vec![0xff; executor.program().tensor(id).bytes() as usize]));
}

fn steps(program: &Program, tuning: Tuning, weights: &Weights, batch: &Batch, limit: Option<DispatchLimit>) -> [DeviceStep; 2] {
    let mut executor = device::executor(program, tuning);
    pollster::block_on(executor.load(weights)).unwrap();
    limit.into_iter().for_each(|limit| executor.limit_dispatches(limit));
    [false, true].map(|in_full| {
        poison(&executor);
        if in_full {
            executor.load_batch_in_full(batch);
        } else {
            executor.load_batch(batch);
        }
        model::device_step(&mut executor)
    })
}

fn check(what: &str, program: &Program, tuning: Tuning, batch: &Batch, limit: Option<DispatchLimit>) {
    let weights = model::weights(&program.spec, 1);
    let [left_out, in_full] = steps(program, tuning, &weights, batch, limit);
    assert!(in_full.gradients.iter().flatten().all(|value| value.is_finite()), "{what}");
    assert!(left_out.gradients.iter().flatten().any(|&value| value != 0.0) == (batch.count() > 0), "{what}");
    assert!(left_out.bits() == in_full.bits(), "{what}: other bits");
}

fn specs() -> Vec<ModelSpec> {
    let odd = model::odd_config();
    let last = odd.num_hidden_layers - 1;
    let adapted = [model::lora(&odd, &Projection::ALL, Dtype::Bf16), model::lora_in(&odd, &[last]), model::lora_in(&odd, &[0])];
    let configs = model::families().into_iter().chain(model::windows()).chain([odd]);
    configs.map(|config| ModelSpec::from(&config)).chain(adapted).collect()
}

#[test]
fn nobody_sees_what_is_left_out() {
    for (number, spec) in specs().into_iter().enumerate() {
        for batch in batches(&spec.config) {
            for strategy in level::share(strategies(), 2, number) {
                let program = Program::gradients(&spec, batch.shape.clone(), strategy);
                let what = format!("{:?}, {strategy:?}, {} labels", spec.config.model_type, batch.count());
                check(&what, &program, device::own_tuning(), &batch, None);
            }
        }
    }
}

#[test]
fn kernels_of_every_class_leave_out_the_same() {
    let config = Config { num_hidden_layers: 1, ..model::odd_config() };
    let batch = &batches(&config)[0];
    for tuning in device::tunings().into_iter().chain(device::gpu_tunings()) {
        for strategy in [Strategy::CHECKPOINT, Strategy::stream(64, 64)] {
            let program = Program::gradients(&config, batch.shape.clone(), strategy);
            check(&format!("{strategy:?}, {tuning:?}"), &program, tuning, batch, None);
            check(&format!("{strategy:?}, {tuning:?}, cut"), &program, tuning, batch, Some(DispatchLimit::of(50_000)));
        }
    }
}

#[test]
fn preferences_leave_out_prompts() {
    let config = Config { num_hidden_layers: 2, ..model::odd_config() };
    let batch = batches(&config).remove(0);
    let ref_log_probs = batch.labels.iter().map(|&label| if label == IGNORED_LABEL { 0.0 } else { -3.0 }).collect();
    let batch = batch.in_pairs(2, ref_log_probs);
    for strategy in [Strategy::STANDARD, Strategy::stream(64, 64)] {
        let program = Program::gradients_for(Objective::Dpo(DpoSettings::default()), &config, batch.shape.clone(), strategy);
        check(&format!("{strategy:?}"), &program, device::own_tuning(), &batch, None);
    }
}

/// They are not computed and thrown away: what stood there still does.
#[test]
fn hidden_states_without_labels_are_not_computed() {
    let config = &PRESETS[0].config;
    let batch = batch(config, |token| token >= 400);
    let program = Program::gradients(config, batch.shape.clone(), Strategy::CHECKPOINT);
    let mut executor = model::device_executor(&program, device::own_tuning(), &model::weights(config, 1), &batch);
    // The last operation of the forward pass writes the last hidden state. Before it, other tensors lie there.
    let last = program.span(Pass::Forward..=Pass::Forward).end - 1;
    let Op::Linear(Linear { out: hidden, .. }) = *program.op(program.instance(last).block, program.instance(last).node) else { panic!() };
    pollster::block_on(executor.run_instances(0..last)).unwrap();
    executor.write(hidden, &vec![0xff; program.tensor(hidden).bytes() as usize]);
    pollster::block_on(executor.run_instances(last..last + 1)).unwrap();
    let is_computed = |row: &[f32]| row.iter().all(|value| value.is_finite());
    let rows: Vec<bool> = device::read(&executor, hidden).chunks(config.hidden_size as usize).map(is_computed).collect();
    let first = 400 / TOKEN_TILE * TOKEN_TILE;
    assert!((0..).zip(rows).all(|(token, is_computed)| is_computed == (token >= first)));
}
