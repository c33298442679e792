//! AdamW.

use super::operation::{Operation, Sizes};

operation! {
    /// One step of AdamW on `weight` with the clipped gradient; does nothing if the gradient is not finite. Source: Loshchilov & Hutter
    /// 2019.
    AdamW {
        /// The shape of the parameter.
        read gradient,
        /// [`AdamWParams`](crate::step::update::AdamWParams) (8).
        read adamw_params,
        /// Loss, gradient norm, gradient scale, and whether the gradient is not finite (4).
        read metrics,
        /// The shape of the parameter.
        write weight,
        /// The shape of the parameter.
        write moment1,
        /// The shape of the parameter.
        write moment2,
        ;
        /// Does weight decay apply?
        decay: bool,
    }
}

impl Operation for AdamW {
    fn flops(&self, sizes: &Sizes) -> u64 {
        14 * sizes.elements(self.weight)
    }

    fn has_siblings(&self) -> bool {
        true
    }
}
