//! Where the screen gets its dialogs from: they are written against [`Layer`] and know nothing of it.

use crate::base::group::MembershipId;
use crate::ui::layer::{Ctx, Layer};

/// Makes the dialogs.
pub trait Dialogs {
    /// The join dialog.
    fn join(&self, ctx: &Ctx<'_>) -> Box<dyn Layer>;

    /// The send dialog for a row.
    fn send(&self, to: MembershipId, ctx: &Ctx<'_>) -> Box<dyn Layer>;
}
