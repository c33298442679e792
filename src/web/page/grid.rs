//! The grid of layers × chunks.

use leptos::prelude::*;

use crate::web::format::bytes;
use crate::web::grid::{Cell, Grid, Layer};
use crate::web::picture::{Part, Parts};
use crate::web::texts;

/// Drawn over what is held only for a while.
const HATCH: &str = "repeating-linear-gradient(45deg, var(--hatch) 0 2px, transparent 2px 6px)";

pub fn view(grid: &Grid) -> impl IntoView {
    let densest = grid.layers.iter().flat_map(|layer| &layer.cells).chain(&grid.head).map(density).fold(0.0, f64::max);
    let largest_shared = grid.largest_shared();
    let row = |layer: &Layer| {
        let number = layer.number;
        let cells = layer.cells.iter().map(|cell| {
            let bar = view! {
                <div class="memory-bar" data-layer=number data-chunk=cell.chunk.index data-bytes=cell.bytes()
                    style=cell_style(cell, densest) title=title(&texts::layer(number), cell)></div>
            };
            view! { <div class="cell" style:flex-grow=cell.chunk.count.to_string()>{bar}</div> }
        });
        let shared: u64 = layer.shared.iter().sum();
        let width = 100.0 * shared as f64 / largest_shared.max(1) as f64;
        let shared_title = format!("{}, {}: {}", texts::layer(number), texts::GRID_SHARED, bytes(shared));
        view! {
            <div class="layer">
                <span class="name">{texts::layer(number)}</span>
                <span class="shared"><i style=format!("width: {width:.1}%; background: {}", stack("to right", &layer.shared)) title=shared_title></i></span>
                <div class="cells">{cells.collect_view()}</div>
            </div>
        }
    };
    let head = grid.head.iter().map(|cell| {
        view! {
            <div class="cell" style:flex-grow=cell.chunk.count.to_string()>
                <div class="head-bar" style=cell_style(cell, densest) title=title(texts::GRID_HEAD, cell)></div>
            </div>
        }
    });
    view! {
        <h3>{texts::GRID}</h3>
        <p class="hint">{texts::GRID_ABOUT}</p>
        {(grid.chunks_per_cell > 1).then(|| view! { <p class="note">{texts::merged(grid.chunks_per_cell)}</p> })}
        <div class="grid">
            <div id="memory" role="img" aria-label=texts::GRID>
                <div class="layer columns"><span></span><span>{texts::GRID_SHARED}</span><span>{texts::GRID_CHUNK}</span></div>
                <div class="layer"><span class="name">{texts::GRID_HEAD}</span><span class="shared"></span><div class="cells">{head.collect_view()}</div></div>
                {grid.layers.iter().map(row).collect_view()}
            </div>
        </div>
        <details><summary>{texts::AS_TABLE}</summary>{table(grid)}</details>
    }
}

/// Bytes for each token.
fn density(cell: &Cell) -> f64 {
    cell.bytes() as f64 / f64::from(cell.chunk.count)
}

fn title(row: &str, cell: &Cell) -> String {
    let chunk = cell.chunk;
    let mut text = format!("{row}, chunk {} (tokens {} to {}): {}", chunk.index, chunk.start, chunk.end() - 1, bytes(cell.bytes()));
    for part in Part::ALL {
        let [kept, passing] = [cell.kept[part as usize], cell.passing[part as usize]];
        if kept + passing > 0 {
            text += &format!("\n{}: {}", texts::part(part), bytes(kept + passing));
        }
    }
    text
}

/// A bar as high as its chunk's bytes for each token; what is passing lies on top, hatched.
fn cell_style(cell: &Cell, densest: f64) -> String {
    let total = cell.bytes().max(1) as f64;
    let height = 100.0 * density(cell) / densest.max(1.0);
    let passing = 100.0 * cell.passing.iter().sum::<u64>() as f64 / total;
    let parts: Vec<(Part, u64)> = Part::ALL
        .into_iter()
        .map(|part| (part, cell.kept[part as usize]))
        .chain(Part::ALL.into_iter().map(|part| (part, cell.passing[part as usize])))
        .collect();
    format!("height: {height:.2}%; background: {HATCH} top / 100% {passing:.2}% no-repeat, {}", gradient("to top", &parts))
}

fn stack(direction: &str, parts: &Parts) -> String {
    let parts: Vec<(Part, u64)> = Part::ALL.into_iter().map(|part| (part, parts[part as usize])).collect();
    gradient(direction, &parts)
}

/// Stripes of the parts' colours, each as long as its share.
fn gradient(direction: &str, parts: &[(Part, u64)]) -> String {
    let total = parts.iter().map(|(_, bytes)| bytes).sum::<u64>().max(1) as f64;
    let mut from = 0.0;
    let stripes = parts.iter().filter(|(_, bytes)| *bytes > 0).map(|&(part, bytes)| {
        let start = from;
        from += 100.0 * bytes as f64 / total;
        format!("var(--{}) {start:.2}% {from:.2}%", part.name())
    });
    format!("linear-gradient({direction}, {})", stripes.collect::<Vec<_>>().join(", "))
}

/// Chunks of a layer are alike but for the last, so a row tells of the first.
fn table(grid: &Grid) -> impl IntoView {
    let cells = |cell: &Cell| {
        let [kept, passing] = [&cell.kept, &cell.passing].map(|parts| bytes(parts.iter().sum()));
        view! { <td>{bytes(cell.bytes())}</td><td>{kept}</td><td>{passing}</td> }
    };
    let row = |name: String, count: usize, cell: &Cell| {
        view! { <tr><th scope="row">{name}</th><td>{count}</td>{cells(cell)}</tr> }
    };
    let layers = grid.layers.iter().map(|layer| row(texts::layer(layer.number), layer.cells.len(), &layer.cells[0]));
    view! {
        <table>
            <caption>{texts::GRID}</caption>
            <thead><tr>{texts::GRID_COLUMNS.map(|column| view! { <th scope="col">{column}</th> })}</tr></thead>
            <tbody>{row(texts::GRID_HEAD.to_owned(), grid.head.len(), &grid.head[0])} {layers.collect_view()}</tbody>
        </table>
    }
}
