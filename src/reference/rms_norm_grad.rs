//! With `n = x · rstd` and `g = d_out · weight`: `d_x[i] = rstd[i] · (g[i] − n[i] · mean(g[i] · n[i]))`.

use super::Scope;
use super::tensors::Matrix;
use crate::step::TensorId;

impl Scope<'_> {
    /// `rstd` (C), `weight` (D), `d_out` (C×D), `d_x` (C×D), `x` (C×D). The gradient is added to `d_x` if `x` is given;
    /// otherwise `d_x` holds `x` and is overwritten.
    pub(super) fn rms_norm_grad(&mut self, rstd: TensorId, weight: TensorId, d_out: TensorId, d_x: TensorId, x: Option<TensorId>) {
        let size = f64::from(self.config.hidden_size);
        let Some(x) = x else {
            let [rstd, weight, d_out, mut d_x] = self.operands([rstd, weight, d_out, d_x]);
            for i in 0..d_x.len() {
                let gradient = row_grad(i, d_x.row(i), &rstd, &weight, &d_out, size);
                d_x.row_mut(i).copy_from_slice(&gradient);
            }
            return;
        };
        let [rstd, weight, d_out, mut d_x, x] = self.operands([rstd, weight, d_out, d_x, x]);
        for i in 0..x.len() {
            let gradient = row_grad(i, x.row(i), &rstd, &weight, &d_out, size);
            d_x.row_mut(i).iter_mut().zip(gradient).for_each(|(d_x, gradient)| *d_x += gradient);
        }
    }
}

fn row_grad(i: usize, x: &[f64], rstd: &Matrix, weight: &Matrix, d_out: &Matrix, size: f64) -> Vec<f64> {
    let r = rstd.scalar(i);
    let n: Vec<f64> = x.iter().map(|x| x * r).collect();
    let g: Vec<f64> = d_out.row(i).iter().zip(weight.row(0)).map(|(d_out, weight)| d_out * weight).collect();
    let mean = n.iter().zip(&g).map(|(n, g)| n * g).sum::<f64>() / size;
    n.iter().zip(&g).map(|(n, g)| r * (g - n * mean)).collect()
}
