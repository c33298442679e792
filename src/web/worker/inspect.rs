//! The numbers of a tensor while a step stands still.

use crate::error::Result;
use crate::step::TensorId;
use crate::train::Trainer;
use crate::web::protocol::TensorView;

/// Rows and columns of the small picture, at most.
const PICTURE: usize = 48;
/// Bytes that are read, at most: the first rows of a tensor that is larger.
const MOST_BYTES: u64 = 16 << 20;

/// Reads a tensor and sums it up.
pub async fn view(trainer: &Trainer, tensor: u32) -> Result<TensorView> {
    let executor = trainer.executor();
    let id = TensorId(tensor.min(executor.program().tensors.len() as u32 - 1));
    let about = executor.program().tensor(id).clone();
    let row_bytes = about.row_bytes();
    let rows = u64::from(about.row_count).min((MOST_BYTES / row_bytes).max(1)) as u32;
    let bytes = executor.read_range(id, 0, u64::from(rows) * row_bytes).await?;
    Ok(summed_up(id.0, trainer.next_instance(), [rows, about.cols], &about.decode(&bytes)))
}

fn summed_up(tensor: u32, turn: u64, shape: [u32; 2], values: &[f32]) -> TensorView {
    let finite = || values.iter().copied().filter(|v| v.is_finite()).map(f64::from);
    let count = finite().count().max(1) as f64;
    let least = finite().fold(f64::INFINITY, f64::min);
    let most = finite().fold(f64::NEG_INFINITY, f64::max);
    // A tensor may hold no number at all.
    let or_zero = |v: f64| if v.is_finite() { v } else { 0.0 };
    let [rows, cols] = shape.map(|size| size as usize);
    let picture_shape = [rows.min(PICTURE), cols.min(PICTURE)];
    TensorView {
        tensor,
        turn,
        shape,
        min: or_zero(least),
        max: or_zero(most),
        mean: finite().sum::<f64>() / count,
        rms: (finite().map(|v| v * v).sum::<f64>() / count).sqrt(),
        not_finite: values.iter().filter(|v| !v.is_finite()).count() as u64,
        picture_shape: picture_shape.map(|size| size as u32),
        picture: picture(values, [rows, cols], picture_shape),
    }
}

/// Means over equal parts.
fn picture(values: &[f32], [rows, cols]: [usize; 2], [height, width]: [usize; 2]) -> Vec<f32> {
    let part = |index: usize, of: usize, size: usize| index * size / of..(index + 1) * size / of;
    let mean = |y: usize, x: usize| {
        let (mut sum, mut count) = (0.0, 0u32);
        for row in part(y, height, rows) {
            for value in &values[row * cols..][part(x, width, cols)] {
                if value.is_finite() {
                    sum += f64::from(*value);
                    count += 1;
                }
            }
        }
        (sum / f64::from(count.max(1))) as f32
    };
    (0..height).flat_map(|y| (0..width).map(move |x| (y, x))).map(|(y, x)| mean(y, x)).collect()
}
