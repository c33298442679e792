//! Comparisons that fail on wrong values, wrong shapes, and values that are not finite.

/// ‖actual − expected‖ / ‖expected‖, which must not exceed the tolerance.
///
/// # Errors
/// A sentence with `what`.
pub fn norm(what: &str, actual: &[f64], expected: &[f64], tolerance: f64) -> Result<f64, String> {
    check_shape(what, actual, expected)?;
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = length(&mut actual.iter().zip(expected).map(|(a, e)| a - e));
    let scale = length(&mut expected.iter().copied());
    // If zero is expected, only zero is accepted.
    let error = if difference == 0.0 { 0.0 } else { difference / scale };
    if error <= tolerance { Ok(error) } else { Err(format!("{what}: the relative error {error:.3e} exceeds {tolerance:.1e}")) }
}

/// The largest ratio of an element's error to its bound, which must not exceed 1.
///
/// # Errors
/// A sentence with `what` and the element.
pub fn each(what: &str, actual: &[f64], expected: &[f64], bounds: &[f64]) -> Result<f64, String> {
    check_shape(what, actual, expected)?;
    assert_eq!(expected.len(), bounds.len(), "{what}: each element needs a bound");
    let mut largest: f64 = 0.0;
    for (i, ((a, e), bound)) in actual.iter().zip(expected).zip(bounds).enumerate() {
        assert!(*bound >= 0.0, "{what}[{i}]: the bound {bound} is invalid");
        let error = (a - e).abs();
        if error > *bound {
            return Err(format!("{what}[{i}]: {a} instead of {e} is off by {error:.3e}, and {bound:.3e} is allowed"));
        }
        if error > 0.0 {
            largest = largest.max(error / bound);
        }
    }
    Ok(largest)
}

/// A unit in the last place of a bf16 of that size.
pub fn bf16_unit(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { 2f64.powf(value.abs().log2().floor() - 7.0) }
}

fn check_shape(what: &str, actual: &[f64], expected: &[f64]) -> Result<(), String> {
    if actual.len() != expected.len() {
        return Err(format!("{what}: {} elements instead of {}", actual.len(), expected.len()));
    }
    if actual.is_empty() {
        return Err(format!("{what}: nothing to compare"));
    }
    for (whose, values) in [("actual", actual), ("expected", expected)] {
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(format!("{what}[{i}]: the {whose} value is {}", values[i]));
        }
    }
    Ok(())
}

#[test]
fn equal_values_pass() {
    assert_eq!(norm("x", &[1.0, -2.0], &[1.0, -2.0], 0.0), Ok(0.0));
    assert_eq!(norm("x", &[0.0], &[0.0], 0.0), Ok(0.0));
    assert_eq!(each("x", &[1.0, -2.0], &[1.0, -2.0], &[0.0, 0.0]), Ok(0.0));
    assert_eq!(each("x", &[1.5], &[1.0], &[1.0]), Ok(0.5));
}

#[test]
fn a_wrong_value_fails() {
    assert!(norm("x", &[1.0, 1.01], &[1.0, 1.0], 1e-3).is_err());
    assert!(norm("x", &[1e-30], &[0.0], 1e-3).is_err());
    // One wrong element among many small errors, which a norm would miss.
    let (expected, mut actual) = (vec![1.0; 10_000], vec![1.0; 10_000]);
    actual[77] = 1.01;
    assert!(norm("x", &actual, &expected, 1e-3).is_ok());
    assert!(each("x", &actual, &expected, &vec![1e-3; 10_000]).unwrap_err().starts_with("x[77]"));
}

#[test]
fn a_value_that_is_not_finite_fails_on_either_side() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for (actual, expected) in [([1.0, bad], [1.0, 1.0]), ([1.0, 1.0], [1.0, bad]), ([1.0, bad], [1.0, bad])] {
            assert!(norm("x", &actual, &expected, f64::INFINITY).is_err());
            assert!(each("x", &actual, &expected, &[f64::INFINITY; 2]).is_err());
        }
    }
}

#[test]
fn a_wrong_shape_fails() {
    assert!(norm("x", &[1.0], &[1.0, 1.0], 1.0).is_err());
    assert!(norm("x", &[], &[], 1.0).is_err());
    assert!(each("x", &[1.0, 1.0, 1.0], &[1.0, 1.0], &[1.0; 2]).is_err());
}
