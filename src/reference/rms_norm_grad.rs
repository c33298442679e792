//! With `n = x · rstd` and `g = d_out · weight`: `d_x[i] = rstd[i] · (g[i] − n[i] · mean(g[i] · n[i]))`, for each group of a row
//! separately.

use super::rms_norm::norm_weight;
use super::scope::{Reference, Scope};
use crate::step::ops::{NormGroups, RmsNormGrad};

impl Reference for RmsNormGrad {
    /// `rstd` (C×groups), `weight` (size), `d_out`, `d_x` and `x` (C×groups·size). The gradient is added to `d_x` if `x` is given;
    /// otherwise `d_x` holds `x` and is overwritten.
    fn run(&self, scope: &mut Scope<'_>) {
        let RmsNormGrad { rstd, weight, d_out, d_x, x, groups } = *self;
        let plus = scope.norm_plus();
        if let Some(x) = x {
            let [rstd, weight, d_out, mut d_x, x] = scope.operands([rstd, weight, d_out, d_x, x]);
            let weight = norm_weight(&weight, plus);
            for i in 0..x.len() {
                let gradient = row_grad(x.row(i), rstd.row(i), &weight, d_out.row(i), groups);
                d_x.row_mut(i).iter_mut().zip(gradient).for_each(|(d_x, gradient)| *d_x += gradient);
            }
            return;
        }
        let [rstd, weight, d_out, mut d_x] = scope.operands([rstd, weight, d_out, d_x]);
        let weight = norm_weight(&weight, plus);
        for i in 0..d_x.len() {
            let gradient = row_grad(d_x.row(i), rstd.row(i), &weight, d_out.row(i), groups);
            d_x.row_mut(i).copy_from_slice(&gradient);
        }
    }
}

fn row_grad(x: &[f64], rstd: &[f64], weight: &[f64], d_out: &[f64], groups: NormGroups) -> Vec<f64> {
    let cols = x.len() / groups.count as usize;
    let group = |((x, d_out), r): ((&[f64], &[f64]), &f64)| {
        let n: Vec<f64> = x.iter().map(|x| x * r).collect();
        let g: Vec<f64> = d_out.iter().zip(weight).map(|(d_out, weight)| d_out * weight).collect();
        let mean = n.iter().zip(&g).map(|(n, g)| n * g).sum::<f64>() / f64::from(groups.size);
        n.iter().zip(&g).map(|(n, g)| r * (g - n * mean)).collect::<Vec<f64>>()
    };
    x.chunks_exact(cols).zip(d_out.chunks_exact(cols)).zip(rstd).flat_map(group).collect()
}
