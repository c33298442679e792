// The hyperparameters of the step; step::update::AdamWParams on the host.

struct AdamWParams {
  learning_rate: f32,
  beta1: f32,
  beta2: f32,
  epsilon: f32,
  weight_decay: f32,
  max_grad_norm: f32,
  bias_correction1: f32,
  bias_correction2: f32,
}
