//! Where the screen gets its dialogs from: they are written against [`Layer`] and know nothing of it.

use crate::base::group::MembershipId;
use crate::ui::action::Action;
use crate::ui::dialog::join::JoinDialog;
use crate::ui::dialog::ping::PingLayer;
use crate::ui::dialog::send::{SendDefaults, SendDialog};
use crate::ui::dialog::sends::SendsLayer;
use crate::ui::layer::{Ctx, Layer};

/// Makes the dialogs.
pub trait Dialogs {
    /// The join dialog with this in its line.
    fn join(&self, prefill: &str, ctx: &Ctx<'_>) -> Box<dyn Layer>;

    /// The send dialog for a row.
    fn send(&self, to: MembershipId, ctx: &Ctx<'_>) -> Box<dyn Layer>;

    /// The list of sends.
    fn sends(&self) -> Box<dyn Layer>;

    /// The ping of a row, and what begins it.
    fn ping(&self, group: MembershipId) -> (Box<dyn Layer>, Action);
}

/// The dialogs of the program; what was sent last is offered again.
#[derive(Default)]
pub struct Standard {
    defaults: SendDefaults,
}

impl Dialogs for Standard {
    fn join(&self, prefill: &str, ctx: &Ctx<'_>) -> Box<dyn Layer> {
        Box::new(JoinDialog::new(ctx, prefill))
    }

    fn send(&self, to: MembershipId, ctx: &Ctx<'_>) -> Box<dyn Layer> {
        let ctx = Ctx { selected: Some(to), ..*ctx };
        Box::new(SendDialog::new(&ctx, &self.defaults))
    }

    fn sends(&self) -> Box<dyn Layer> {
        Box::new(SendsLayer::new())
    }

    fn ping(&self, group: MembershipId) -> (Box<dyn Layer>, Action) {
        let layer = PingLayer::new(group);
        let begin = layer.begin();
        (Box::new(layer), begin)
    }
}
