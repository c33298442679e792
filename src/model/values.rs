//! Weight sources: random initialisation, files, or memory. Values are requested row by row, so the host never holds a whole model.

use std::borrow::Cow;
use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::parameters::{Init, Parameter};
use crate::error::Result;

/// A source of the values of parameters.
#[expect(async_fn_in_trait, reason = "a page has no threads, and natively nothing sends these futures between threads")]
pub trait WeightSource {
    /// A range of rows of a parameter (a vector is one row), without padding.
    ///
    /// # Errors
    /// If the values cannot be read, or are not finite.
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>>;
}

/// Random initialisation from a seed.
#[derive(Clone, Copy, Debug)]
pub struct RandomInit {
    /// The seed.
    pub seed: u64,
}

/// The values of a model from one source, and those of its adapters from another.
#[derive(Clone, Copy, Debug)]
pub struct WithAdapters<B, A> {
    /// The model.
    pub base: B,
    /// The adapters.
    pub adapters: A,
}

impl RandomInit {
    /// A range of rows of a parameter, without padding.
    pub fn draw(&self, parameter: &Parameter, rows: Range<u32>) -> Vec<f32> {
        let width = u64::from(parameter.cols.size());
        let elements = u64::from(rows.start) * width..u64::from(rows.end) * width;
        let count = (elements.end - elements.start) as usize;
        match parameter.init {
            Init::Zeros => vec![0.0; count],
            Init::Ones => vec![1.0; count],
            Init::Normal { std } => {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(parameter.stream);
                normal(&mut rng, std, elements)
            }
        }
    }
}

impl WeightSource for RandomInit {
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        Ok(Cow::Owned(self.draw(parameter, rows)))
    }
}

impl<B: WeightSource, A: WeightSource> WeightSource for WithAdapters<B, A> {
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        if parameter.is_adapter() { self.adapters.rows(parameter, rows).await } else { self.base.rows(parameter, rows).await }
    }
}

impl<V: WeightSource> WeightSource for &V {
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        (*self).rows(parameter, rows).await
    }
}

/// A range of elements of a sequence of normally distributed values, by the Box-Muller transform. Two numbers of the stream give two
/// elements, so any element can be computed without those before it.
fn normal(rng: &mut ChaCha8Rng, std: f64, elements: Range<u64>) -> Vec<f32> {
    let first_pair = elements.start / 2;
    rng.set_word_pos(u128::from(2 * first_pair));
    let mut uniform = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
    let pairs = (first_pair..elements.end.div_ceil(2)).flat_map(|_| {
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        [radius * angle.cos(), radius * angle.sin()]
    });
    let skipped = (elements.start - 2 * first_pair) as usize;
    pairs.skip(skipped).take((elements.end - elements.start) as usize).map(|v| (std * v) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PRESETS, Parameters, Role, Weights};

    #[test]
    fn rows_are_those_of_the_whole() {
        let config = crate::model::Config { hidden_size: 7, vocab_size: 11, ..PRESETS[0].config.clone() };
        let parameters = Parameters::new(&config);
        let parameter = parameters.get(parameters.find(Role::Embedding, None));
        let rows = |rows| RandomInit { seed: 3 }.draw(parameter, rows);
        let whole = rows(0..11);
        assert_eq!(whole.len(), 77);
        for range in [0..1, 1..2, 3..8, 10..11, 4..4] {
            assert_eq!(rows(range.clone()), whole[range.start as usize * 7..range.end as usize * 7], "{range:?}");
        }
        assert_eq!(Weights::init(&config, 3).get(&parameter.name), whole);
    }
}
