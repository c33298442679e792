//! What the pictures show, computed from a step's program and its memory. Nothing here knows of a browser.

mod attention;
mod doing;
mod formula;
mod inspector;
mod kernel;
mod mountains;
mod part;
mod planned;
mod plot_file;
mod roofline;
mod step_grid;
mod svg_export;
mod timeline;

pub use attention::{AttentionCell, AttentionMap, AttentionWords, byte_text, visible};
pub use doing::Doing;
pub use formula::formula;
pub use inspector::{Entry, entries};
pub use kernel::{Binding, KernelAtWork};
pub use mountains::{
    Column as MountainColumn, Mountain, MountainWords, Mountains, PASSES, axis, model_bytes, mountains_file, passes, plot, single,
};
pub use part::{Part, Parts};
pub use planned::Planned;
pub use plot_file::{PLOT_SIZE, PlotFile, PlotLine};
pub use roofline::{Group, Words as RooflineWords, roofline};
pub use step_grid::{CellState, GridCell, GridRow, StepGrid};
pub use svg_export::{SIZE as POSTER_SIZE, Words, poster};
pub use timeline::{Column, HEIGHT, Timeline};
