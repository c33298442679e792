//! Every operation: its kernel against the reference, and a gradient's reference against differences.

mod adamw;
mod attention;
mod attention_key_value_grad;
mod attention_query_grad;
mod bias_grad;
mod clip;
mod cross_entropy;
mod embedding;
mod embedding_grad;
mod glu;
mod glu_grad;
mod linear;
mod linear_grad;
mod linear_weight_grad;
mod log_sum_exp;
mod loss;
mod rms_norm;
mod rms_norm_grad;
mod rms_norm_weight_grad;
mod rope;
mod square_sum;
mod zero;
