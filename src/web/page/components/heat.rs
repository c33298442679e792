//! Numbers as colours, one pixel for each; the style sheet makes it large.

use leptos::prelude::*;
use wasm_bindgen::{Clamped, JsCast};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

/// Below and above zero, as red, green and blue: blue and orange are told apart by colour-blind readers too.
const COLD: [f32; 3] = [33.0, 102.0, 172.0];
const WARM: [f32; 3] = [213.0, 94.0, 0.0];

/// A picture of `shape` rows and columns, with its label.
pub fn heat_map(shape: [u32; 2], values: Vec<f32>, label: String) -> impl IntoView {
    let words = label.clone();
    view! { <figure class="heat" role="img" aria-label=words>{canvas(shape, values)}<figcaption aria-hidden="true">{label}</figcaption></figure> }
}

/// The picture alone; the largest magnitude is the full colour.
pub fn canvas([rows, cols]: [u32; 2], values: Vec<f32>) -> impl IntoView {
    let canvas = NodeRef::<leptos::html::Canvas>::new();
    Effect::new(move |_| {
        if let Some(canvas) = canvas.get() {
            draw(&canvas, [rows, cols], &values);
        }
    });
    view! { <canvas node_ref=canvas aria-hidden="true"></canvas> }
}

fn draw(canvas: &HtmlCanvasElement, [rows, cols]: [u32; 2], values: &[f32]) {
    canvas.set_width(cols);
    canvas.set_height(rows);
    let most = values.iter().copied().map(f32::abs).fold(f32::MIN_POSITIVE, f32::max);
    let pixels: Vec<u8> = values
        .iter()
        .flat_map(|&value| {
            let [r, g, b] = if value < 0.0 { COLD } else { WARM };
            [r as u8, g as u8, b as u8, (255.0 * (value.abs() / most).sqrt()) as u8]
        })
        .collect();
    let context = canvas.get_context("2d").ok().flatten().and_then(|context| context.dyn_into::<CanvasRenderingContext2d>().ok());
    let image = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&pixels), cols, rows);
    if let (Some(context), Ok(image)) = (context, image) {
        let _ = context.put_image_data(&image, 0.0, 0.0);
    }
}
