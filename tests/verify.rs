//! The proof of exactness, as the page and the command line run it.

use std::cell::RefCell;

use pollster::block_on;
use streambp::gpu::Gpu;
use streambp::model::Layout;
use streambp::step::Strategy;
use streambp::train::verify;

use crate::support::model;

#[test]
fn the_proof_says_how_far_it_is() {
    let config = model::odd_config();
    let (weights, batch) = (model::weights(&config, 1), model::batch(&config, &[70, 33], 2));
    let strategies = [Strategy::STANDARD, Strategy::stream(64, 64)];
    for with_reference in [true, false] {
        let told = RefCell::new(Vec::new());
        let report = block_on(async {
            let gpu = Gpu::open(None).await.unwrap();
            let progress = |done, all| told.borrow_mut().push((done, all));
            verify(&gpu, &Layout::from(&config), &weights, &batch, &strategies, with_reference, progress).await.unwrap()
        });
        assert!(report.same_bits && report.runs.len() == 2);
        assert!(report.parameters.iter().all(|p| p.error.map_or(!with_reference, |error| with_reference && error < 1e-5)));
        let all = if with_reference { 3 } else { 2 };
        assert_eq!(told.into_inner(), (0..=all).map(|done| (done, all)).collect::<Vec<_>>());
    }
}
