//! Verification of exactness, and of where errors come from, as the page and the command line run it.

use std::cell::RefCell;

use pollster::block_on;
use streambp::error::Error;
use streambp::gpu::Tuning;
use streambp::model::{Config, Dtype, ModelSpec, PRESETS, Parameter, Projection, Role, Weights};
use streambp::step::{Batch, Objective, OpKind, Pass, Plan, Program, Strategy};
use streambp::train::{ALL_OPERATIONS, OperationError, SelfCheck, errors_by_operation, errors_in_f64, verify};

use crate::support::{device, level, model};

#[test]
fn verification_reports_its_progress_and_errors() {
    let config = model::odd_config();
    let (weights, batch) = (model::weights(&config, 1), model::batch(&config, &[70, 33], 2));
    let spec = ModelSpec::from(&config);
    let plans = [Strategy::STANDARD, Strategy::stream(64, 64)].map(|strategy| {
        let program = Program::gradients(&config, batch.shape.clone(), strategy);
        Plan::new(program, device::gpu().limits()).unwrap()
    });
    let calls = RefCell::new(Vec::new());
    let (mut report, gradients) = block_on(async {
        let progress = |done, all| {
            calls.borrow_mut().push((done, all));
            Ok(())
        };
        verify(&device::gpu(), plans.to_vec(), &weights, &batch, progress).await.unwrap()
    });
    assert!(report.same_bits && report.runs.len() == 2);
    assert!(report.parameters.iter().all(|parameter| parameter.error.is_none()), "the f64 reference has not run yet");
    assert_eq!(calls.into_inner(), [(0, 2), (1, 2), (2, 2)]);
    report.set_errors(&errors_in_f64(Objective::CrossEntropy, &spec, &weights, &batch, &gradients));
    assert!(report.parameters.iter().all(|parameter| parameter.error.is_some_and(|error| error < 1e-5)));
    let mut wrong = gradients;
    wrong[0][0] += 1.0;
    report.set_errors(&errors_in_f64(Objective::CrossEntropy, &spec, &weights, &batch, &wrong));
    assert!(report.parameters[0].error.unwrap() > 1e-2, "a wrong gradient should have a large error");
}

/// The error does not grow with the sequence, as that of sums in single chains would.
#[test]
fn a_long_sequence_is_as_accurate_as_a_short_one() {
    let small = Config { vocab_size: 256, ..Config::llama([32, 32, 2, 2, 1, 16]) };
    let (tokens, config) = if level::is_exhaustive() { (16_384, PRESETS[0].config.clone()) } else { (4096, small) };
    let (weights, batch) = (model::weights(&config, 1), model::batch(&config, &[tokens], 2));
    let program = Program::gradients(&config, batch.shape.clone(), Strategy::stream(512, 512));
    let plan = Plan::new(program, device::gpu().limits()).unwrap();
    let (_, gradients) = block_on(verify(&device::gpu(), vec![plan], &weights, &batch, |_, _| Ok(()))).unwrap();
    let errors = errors_in_f64(Objective::CrossEntropy, &ModelSpec::from(&config), &weights, &batch, &gradients);
    let worst = errors.into_iter().fold(0.0, f64::max);
    assert!(worst <= 5e-6, "the worst parameter is off by {worst:.1e}");
}

/// The program that the reports are about, with the kinds of its operations.
fn program(spec: &ModelSpec, batch: &Batch) -> (Program, Vec<OpKind>) {
    let program = Program::gradients(spec, batch.shape.clone(), Strategy::STANDARD);
    let instances = program.instances(program.span(Pass::GRADIENTS));
    let mut kinds: Vec<OpKind> = instances.map(|instance| program.op(instance.block, instance.node).kind()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    (program, kinds)
}

fn report(spec: &ModelSpec, weights: &Weights, batch: &Batch) -> Vec<OperationError> {
    block_on(errors_by_operation(&device::gpu(), Objective::CrossEntropy, spec, weights, batch, |_, _| Ok(()))).unwrap()
}

/// Each kind of operation has a row; the largest error stands first, the whole step last.
fn check_rows(rows: &[OperationError], kinds: &[OpKind]) -> OperationError {
    let (all, rows) = rows.split_last().unwrap();
    assert_eq!(all.operation, ALL_OPERATIONS);
    assert!(rows.is_sorted_by(|a, b| a.on_device.worst >= b.on_device.worst));
    let names = |mut names: Vec<&'static str>| {
        names.sort_unstable();
        names
    };
    let kind = |row: &OperationError| OpKind::ALL.iter().find(|kind| kind.stem() == row.operation).unwrap().stem();
    assert_eq!(names(rows.iter().map(kind).collect()), names(kinds.iter().map(|kind| kind.stem()).collect()));
    all.clone()
}

/// Root of the sum of the squares of all parameters' errors.
fn norm(errors: &[f64]) -> f64 {
    errors.iter().map(|error| error * error).sum::<f64>().sqrt()
}

/// The kinds together explain the error of the whole step, on the device and if only rounded; and none is better than rounding.
fn check_sums(rows: &[OperationError], all: &OperationError) {
    let root = |of: &dyn Fn(&OperationError) -> f64| rows.iter().map(|row| of(row).powi(2)).sum::<f64>().sqrt();
    for (together, alone) in [
        (norm(&all.on_device.errors), root(&|row| norm(&row.on_device.errors))),
        (norm(&all.rounded.errors), root(&|row| norm(&row.rounded.errors))),
    ] {
        assert!(together < 2.0 * alone && alone < 2.0 * together, "together {together:.1e}, one by one {alone:.1e}");
    }
    for OperationError { operation, on_device, rounded } in rows {
        let (device, least) = (norm(&on_device.errors), norm(&rounded.errors));
        assert!(least <= 1.2 * device && device < 1e-5, "{operation}: {device:.1e} on the device, {least:.1e} rounded");
    }
}

/// A kind that only adds to gradients has an error in those alone, and there it has one; copies have none.
#[test]
fn errors_are_where_their_operations_write() {
    let config = Config { rms_norm_eps: 1e-6, ..model::families().swap_remove(0) };
    let (spec, weights, batch) = (ModelSpec::from(&config), model::weights(&config, 1), model::batch(&config, &[70, 33], 2));
    let rows = report(&spec, &weights, &batch);
    let (program, kinds) = program(&spec, &batch);
    let all = check_rows(&rows, &kinds);
    check_sums(&rows[..rows.len() - 1], &all);
    let is_norm = |parameter: &Parameter| parameter.rows.is_none() && !matches!(parameter.role, Role::Bias(_));
    let is_affected = |kind: &str, parameter: &Parameter| match kind {
        "zero" | "embedding" | "loss" => Some(false),
        "embedding_grad" => Some(parameter.role == Role::Embedding),
        "linear_weight_grad" => Some(parameter.rows.is_some() && parameter.role != Role::Embedding),
        "bias_grad" => Some(matches!(parameter.role, Role::Bias(_))),
        "rms_norm_weight_grad" => Some(is_norm(parameter)),
        "linear" => Some(true),
        "attention_query_grad" | "glu_grad" => (parameter.role == Role::LmHead || parameter.role == Role::FinalNorm).then_some(false),
        _ => None,
    };
    let mut checked = 0;
    for OperationError { operation, on_device, rounded } in &rows {
        for (errors, (_, parameter)) in on_device.errors.iter().zip(&rounded.errors).zip(program.parameters.trainable()) {
            if let Some(is_affected) = is_affected(operation, parameter) {
                assert_eq!((*errors.0 > 0.0, *errors.1 > 0.0), (is_affected, is_affected), "{operation} and {}", parameter.name);
                checked += 1;
            }
        }
        let worst = program.parameters.trainable().position(|(_, parameter)| parameter.name == on_device.worst_parameter).unwrap();
        assert_eq!(on_device.errors[worst], on_device.worst);
        assert!(on_device.median <= on_device.worst && on_device.errors.iter().all(|&error| error <= on_device.worst));
    }
    assert!(checked > 8 * program.parameters.trainable().count(), "only {checked} errors had to be zero or not");
}

/// The last row is what a verification without it finds. Gemma ties its head, scales its embedding, and norms queries and keys.
#[test]
fn all_operations_have_the_error_of_the_step() {
    let gemma = model::families().swap_remove(4);
    let lora = model::lora(&model::odd_config(), &[Projection::Query, Projection::Down], Dtype::Int8);
    for spec in [ModelSpec::from(&gemma), lora] {
        let (weights, batch) = (model::weights(&spec, 3), model::batch(&spec.config, &[40, 65], 4));
        let rows = report(&spec, &weights, &batch);
        let (program, kinds) = program(&spec, &batch);
        let all = check_rows(&rows, &kinds);
        check_sums(&rows[..rows.len() - 1], &all);
        let plan = Plan::new(program, device::gpu().limits()).unwrap();
        let (mut found, gradients) = block_on(verify(&device::gpu(), vec![plan], &weights, &batch, |_, _| Ok(()))).unwrap();
        let errors = errors_in_f64(Objective::CrossEntropy, &spec, &weights, &batch, &gradients);
        assert_eq!(errors, all.on_device.errors);
        found.set_errors_by_operation(rows.clone());
        assert!(found.parameters.iter().map(|parameter| parameter.error.unwrap()).eq(errors));
        assert_eq!(found.by_operation, rows);
    }
}

#[test]
fn a_report_by_operation_can_be_stopped() {
    let config = model::odd_config();
    let (weights, batch) = (model::weights(&config, 1), model::batch(&config, &[20], 2));
    let calls = RefCell::new(Vec::new());
    let stop_at = |limit: usize| {
        calls.borrow_mut().clear();
        let progress = |done: usize, all: usize| {
            calls.borrow_mut().push((done, all));
            if done == limit { Err(Error::Stopped) } else { Ok(()) }
        };
        block_on(errors_by_operation(&device::gpu(), Objective::CrossEntropy, &(&config).into(), &weights, &batch, progress))
    };
    assert!(stop_at(usize::MAX).is_ok());
    let all = calls.borrow().len();
    assert!(calls.borrow().iter().copied().eq((0..all).map(|done| (done, all))), "every operation is counted once");
    for limit in [0, all / 2, all - 1] {
        assert!(matches!(stop_at(limit), Err(Error::Stopped)), "at {limit} of {all}");
    }
}

/// Which kernels run for a chunk length is what a driver decides that compiles sums anew for each.
#[test]
fn an_adapter_that_adds_in_another_order_is_found() {
    let gpu = device::gpu();
    let found = block_on(SelfCheck::of(&gpu)).unwrap();
    assert!(found.same_bits && found.different.is_empty() && found.warning(gpu.name()).is_none(), "{found:?}");
    let other = if gpu.tuning().is_for_cpu() { Tuning::GPU } else { Tuning::SMALL_CPU };
    let runs = vec![(gpu.clone(), Strategy::stream(64, 64)), (gpu.clone().with_tuning(other), Strategy::stream(128, 128))];
    let found = block_on(SelfCheck::comparing(runs)).unwrap();
    assert!(!found.same_bits && !found.different.is_empty());
    assert!(found.warning(gpu.name()).unwrap().contains(gpu.name()));
}
