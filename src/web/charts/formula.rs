//! Formulas of operations, in the names of their operands, an equation on each line. An index `i` is a token.

use crate::step::ops::Grpo;
use crate::step::{DpoLossType, DpoSettings, ImportanceSamplingLevel, Op};

/// What an operation computes. [`operation!`](crate::step::ops) says the same of each kind; this leaves out what the operation does not have.
pub fn formula(op: &Op) -> String {
    match op {
        Op::Zero(_) => "out = 0".to_owned(),
        Op::Embedding(_) => "out[i] = scale · weight[input_ids[i]]".to_owned(),
        Op::EmbeddingGrad(_) => "d_weight[id] += scale · Σᵢ d_out[i],  input_ids[i] = id".to_owned(),
        Op::RmsNorm(op) => {
            format!("rstd[i] = 1 / √(mean(x[i]²) + ε)\nout[i] = x[i] · rstd[i] · weight{}", plus(op.residual, "residual[i]"))
        }
        Op::RmsNormGrad(op) => {
            // Without `x`, `d_x` holds it.
            let (x, assign) = if op.x.is_some() { ("x", "+=") } else { ("d_x", "=") };
            format!("x̂ = {x}[i] · rstd[i]\ng = d_out[i] · weight\nd_x[i] {assign} rstd[i] · (g − x̂ · mean(g · x̂))")
        }
        Op::RmsNormWeightGrad(_) => "d_weight += Σᵢ d_out[i] · x[i] · rstd[i]".to_owned(),
        Op::Linear(op) => {
            let more = format!("{}{}", plus(op.bias, "bias"), plus(op.residual, "residual[i]"));
            format!("out[i] {} {}weight · x[i]{more}", assign(op.accumulate), scaled(op.scale))
        }
        Op::LinearGrad(op) => format!("d_x[i] {} {}weightᵀ · d_out[i]", assign(op.accumulate), scaled(op.scale)),
        Op::LinearWeightGrad(_) => "d_weight += Σᵢ d_out[i] ⊗ x[i]".to_owned(),
        Op::BiasGrad(_) => "d_bias += Σᵢ d_out[i]".to_owned(),
        Op::CopyRows(_) | Op::HostCopy(_) | Op::Send(_) | Op::Receive(_) => "out[i] = x[i]".to_owned(),
        Op::Rope(op) => {
            let [minus, plus] = if op.inverse { ["+", "−"] } else { ["−", "+"] };
            format!("a, b = x[i, e], x[i, e + E/2]\nx[i, e] = a · cos {minus} b · sin\nx[i, e + E/2] = b · cos {plus} a · sin")
        }
        Op::Attention(_) => "out = softmax(scale · q · kᵀ) · v\nstats.x = log Σ exp(scale · q · kᵀ)".to_owned(),
        Op::DecodeAttention(_) => "out = softmax(scale · q · [prompt_k, k]ᵀ) · [prompt_v, v]".to_owned(),
        Op::AttentionQueryGrad(_) => {
            "p = exp(scale · q · kᵀ − stats.x)\nstats.y = d_out · out\nd_s = p · (d_out · vᵀ − stats.y)\nd_q = scale · d_s · k".to_owned()
        }
        Op::AttentionKeyValueGrad(_) => {
            "p = exp(scale · q · kᵀ − stats.x)\nd_s = p · (d_out · vᵀ − stats.y)\nd_v += pᵀ · d_out\nd_k += scale · d_sᵀ · q".to_owned()
        }
        Op::Glu(_) => "out = act(gate) · up".to_owned(),
        Op::GluGrad(_) => "gate = d_out · up · act′(gate)\nup = d_out · act(gate)".to_owned(),
        Op::LogSumExp(_) => "stats[i] = (max logits[i], Σ exp(logits[i] − max), logits[i, label])".to_owned(),
        Op::CrossEntropy(_) => {
            "log_probs[i] = log softmax(logits[i])[label]\nlogits[i] = loss_weight[i] · (softmax(logits[i]) − onehot(label))".to_owned()
        }
        Op::Dpo(op) => dpo(&op.settings),
        Op::Grpo(op) => grpo(op),
        Op::Sample(_) => "input_ids[i + G] = argmax(logits[i] / temperature − log e),  e ~ Exp(1)".to_owned(),
        Op::Loss(_) => "loss += −Σᵢ loss_weight[i] · log_probs[i]".to_owned(),
        Op::SquareSum(_) => "partials = Σ x²".to_owned(),
        Op::Clip(_) => "norm = √(Σ partials)\nscale = min(1, max_norm / norm)".to_owned(),
        Op::AdamW(op) => {
            let decay = if op.decay { " + λ · weight" } else { "" };
            format!("m = β₁ · m + (1 − β₁) · g\nv = β₂ · v + (1 − β₂) · g²\nweight −= η · (m̂ / (√v̂ + ε){decay})")
        }
    }
}

fn assign(accumulate: bool) -> &'static str {
    if accumulate { "+=" } else { "=" }
}

fn scaled(scale: f64) -> String {
    if scale == 1.0 { String::new() } else { format!("{scale} · ") }
}

fn plus<T>(operand: Option<T>, name: &str) -> String {
    operand.map_or_else(String::new, |_| format!(" + {name}"))
}

fn grpo(op: &Grpo) -> String {
    let old = if op.old_log_probs.is_some() { "old_log_probs[i]" } else { "detach(log_probs[i])" };
    let ratio = match op.settings.importance_sampling_level {
        ImportanceSamplingLevel::Token => format!("exp(log_probs[i] − {old})"),
        ImportanceSamplingLevel::Sequence => format!("exp(mean of log_probs[i] − {old} over i in s)"),
    };
    let divergence = match (op.ref_log_probs, op.settings.use_bias_correction_kl) {
        (None, _) => "",
        (_, false) => " + β · (eᵈ − d − 1)",
        (_, true) => " + β · ρ · (eᵈ − d − 1)",
    };
    let of_reference = if op.ref_log_probs.is_some() { ",  d = ref_log_probs[i] − log_probs[i]" } else { "" };
    format!(
        "ρ = {ratio}\nloss += Σᵢ loss_weight[i] · (−min(ρ · A, clip(ρ, 1 − ε, 1 + ε_high) · A){divergence}),  A = advantages[s]{of_reference}\n\
         loss_weight[i] = −∂loss / ∂log_probs[i]"
    )
}

fn dpo(settings: &DpoSettings) -> String {
    let (terms, loss) = match settings.loss_type {
        DpoLossType::Sigmoid if settings.label_smoothing > 0.0 => ("", "−(1 − ε) · log σ(βΔ) − ε · log σ(−βΔ)"),
        DpoLossType::Sigmoid => ("", "−log σ(βΔ)"),
        DpoLossType::Hinge => ("", "max(0, 1 − βΔ)"),
        DpoLossType::Ipo => (" / labels", "(Δ − 1 / 2β)²"),
    };
    format!(
        "sequence_log_probs[s] = Σᵢ (log_probs[i], log_probs[i] − ref_log_probs[i]),  i in s\n\
         Δ = sequence_log_probs[chosen, 1]{terms} − sequence_log_probs[rejected, 1]{terms}\n\
         loss += mean of {loss}\nloss_weight[i] = −∂loss / ∂log_probs[i]"
    )
}
