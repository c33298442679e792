// How completions are sampled: the layout of `Sampling` in src/step/roll_out.rs.
struct Sampling {
  key: array<u32, 8>,
  temperature: f32,
  top_p: f32,
  top_k: u32,
  first_completion: u32,
  prefix: u32,
}
