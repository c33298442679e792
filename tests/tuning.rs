//! Autotuning: its result is stored, reused, and as exact as the default kernels.

use std::fs;
use std::process::Command;

use streambp::model::PRESETS;
use streambp::step::{Program, Strategy};
use streambp::train::tune;

use crate::command_line::{PROGRAM, directory, small_model};
use crate::support::{compare, device, model};

#[test]
fn what_is_found_computes_the_same_gradients() {
    let config = &PRESETS[0].config;
    let gpu = device::gpu();
    let shares = std::cell::RefCell::new(Vec::new());
    let progress = |share| {
        shares.borrow_mut().push(share);
        true
    };
    let tuning = pollster::block_on(tune(&gpu, &config.into(), progress)).unwrap();
    assert!(shares.borrow().is_sorted() && shares.borrow().iter().all(|share| (0.0..=1.0).contains(share)));
    let batch = model::batch(config, &[100], 3);
    let program = Program::gradients(config, batch.shape.clone(), Strategy::stream(64, 64));
    let weights = model::weights(config, 1);
    let [own, found] = [device::own_tuning(), tuning].map(|tuning| {
        let mut executor = model::device_executor(&program, tuning, &weights, &batch);
        model::device_step(&mut executor).gradients
    });
    for (own, found) in own.iter().zip(&found) {
        let [own, found] = [own, found].map(|values| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>());
        compare::norm("gradient", &found, &own, 1e-5).unwrap();
    }
}

#[test]
fn a_search_can_be_cancelled() {
    let gpu = device::gpu();
    let calls = std::cell::Cell::new(0);
    let progress = |_| {
        calls.set(calls.get() + 1);
        false
    };
    let tuning = pollster::block_on(tune(&gpu, &(&PRESETS[0].config).into(), progress)).unwrap();
    assert_eq!((calls.get(), tuning), (1, *gpu.tuning()));
}

#[test]
#[cfg(target_os = "linux")]
fn what_was_found_is_kept_and_used_again() {
    let here = directory("tuning");
    let model = small_model(&here);
    let train = |out: &str| {
        let mut command = Command::new(PROGRAM);
        command.args(["train", "--data", "own", "--seq-len", "64", "--steps", "1", "--json", "--model"]).arg(&model);
        command.arg("--out").arg(here.join(out)).env("XDG_CACHE_HOME", here.join("cache"));
        // XDG_CACHE_HOME would also move the driver's cache, without which every kernel would be compiled again.
        if std::env::var_os("MESA_SHADER_CACHE_DIR").is_none() {
            command.env("MESA_SHADER_CACHE_DIR", dirs::cache_dir().unwrap());
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(here.join(out).join("model.safetensors")).unwrap()
    };
    let cache = here.join("cache/streambp/tuning.json");
    let first = train("first");
    let tunings: serde_json::Value = serde_json::from_slice(&fs::read(&cache).unwrap()).unwrap();
    assert_eq!(tunings.as_object().unwrap().len(), 1);
    let written = fs::metadata(&cache).unwrap().modified().unwrap();
    assert!(train("second") == first, "the weights differ");
    assert_eq!(fs::metadata(&cache).unwrap().modified().unwrap(), written, "the search ran again");
}
