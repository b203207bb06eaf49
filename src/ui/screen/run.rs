//! What the commands of the table do to the screen.

use tui_input::Input;

use crate::base::group::SourceFilter;
use crate::base::tap::Depth;
use crate::base::text::visible;
use crate::engine::command::Respond;
use crate::model::group::Group;
use crate::model::pairs;
use crate::ui::action::Action;
use crate::ui::filter::Filter;
use crate::ui::keys::{self, Cmd};
use crate::ui::layer::Ctx;
use crate::ui::pane::fields;
use crate::ui::pane::groups::spec;
use crate::ui::pane::stream;
use crate::ui::pane::{Kind, Reply};
use crate::ui::popup::chooser::Chooser;
use crate::ui::popup::help::Help;
use crate::ui::popup::palette::Palette;
use crate::ui::popup::protocol::ProtocolChooser;
use crate::ui::popup::sessions::SessionsLayer;
use crate::ui::screen::{Screen, Typing, plan};
use crate::ui::view::VIEWS;

/// Packets that can be marked.
const MARKS_MAX: usize = 100;

impl Screen {
    /// Does what a row of the table says, if it works now.
    pub(super) fn run(&mut self, cmd: Cmd, ctx: &Ctx<'_>) {
        let situation = self.situation(ctx);
        // Where there is nothing to join at once, it is the dialog's other key.
        let asks = cmd == Cmd::JoinNow && (situation.joined || situation.group.is_none());
        let cmd = if asks { Cmd::Join } else { cmd };
        if let Some(b) = keys::of(cmd)
            && !b.works(&situation)
        {
            return self.say(format!("{}: {}", b.short, b.need.missing(&situation, ctx.keys)));
        }
        let v = &mut self.views[self.current];
        match v.panes[v.focus].command(cmd, &mut self.shared, ctx) {
            Reply::Done => return,
            Reply::Focus(kind) => return self.focus_kind(kind, ctx),
            Reply::Ignored => {}
        }
        match cmd {
            Cmd::Quit => self.shared.actions.push(Action::Quit),
            Cmd::Suspend => self.shared.actions.push(Action::Suspend),
            Cmd::Redraw => self.shared.actions.push(Action::Redraw),
            Cmd::View(key) => {
                self.came_from.clear();
                self.show(VIEWS.iter().position(|v| v.key() == key));
            }
            Cmd::NextPane => self.step_focus(1, ctx),
            Cmd::PrevPane => self.step_focus(-1, ctx),
            Cmd::Back => self.back(),
            Cmd::Zoom => self.view().zoomed ^= true,
            Cmd::Pause if self.paused.take().is_none() => {
                self.paused = Some(ctx.now.wall);
                let key = ctx.key(Cmd::Pause);
                self.say(format!("the screen stands still, counting goes on · {key} goes on"));
            }
            Cmd::Filter => {
                let before = self.shared.filter.clone();
                self.typing =
                    Some(Typing { input: Input::new(before.text().to_owned()), before, error: None });
            }
            Cmd::Why => self.focus_kind(Kind::Doctor, ctx),
            Cmd::Help => self.layers.push(Box::new(Help::new(situation))),
            Cmd::Palette => {
                self.layers.push(Box::new(Palette::new(situation, self.chosen.clone())));
            }
            Cmd::Columns => {
                if let Some((columns, grid)) = v.panes[v.focus].table() {
                    self.layers.push(Box::new(Chooser::new(columns, grid.hidden.clone())));
                }
            }
            Cmd::NextField | Cmd::PrevField => fields::jump(cmd == Cmd::NextField, &mut self.shared, ctx),
            Cmd::Diff => self.shared.diff ^= true,
            Cmd::Mark => self.mark(ctx),
            Cmd::NextMark => self.say("marks are gone through in the list of packets"),
            Cmd::CopyHex => self.copy_hex(ctx),
            Cmd::Copy => match v.panes[v.focus].copy(&self.shared, ctx) {
                Some(text) => {
                    self.say(format!("copied: {}", visible(&text, 200)));
                    self.shared.actions.push(Action::Copy(text));
                }
                None => self.say("nothing is selected that could be copied"),
            },
            Cmd::Join => {
                let seen = self.shared.group(ctx).filter(|g| !g.is_joined());
                let prefill = seen.map_or_else(String::new, |g| g.membership.to_string());
                let dialog = self.dialogs.join(&prefill, ctx);
                self.layers.push(dialog);
            }
            Cmd::Sessions => self.layers.push(Box::<SessionsLayer>::default()),
            Cmd::Tap | Cmd::TapAll => self.tap(cmd, ctx),
            Cmd::Sends => {
                let list = self.dialogs.sends();
                self.layers.push(list);
            }
            Cmd::Undo => self.shared.actions.push(Action::Undo),
            Cmd::ResetAll => {
                self.totals = None;
                self.shared.actions.push(Action::Reset(None));
                self.say("all counters are set to zero");
            }
            _ => self.run_on_group(cmd, ctx),
        }
    }

    /// Commands to the selected row.
    fn run_on_group(&mut self, cmd: Cmd, ctx: &Ctx<'_>) {
        let Some(g) = self.shared.group(ctx) else { return };
        let name = spec(&g.membership);
        match cmd {
            Cmd::JoinNow => match g.vlan {
                Some(vlan) => {
                    let i = &g.membership.iface;
                    self.say(format!(
                        "{name} is of VLAN {vlan}: join it on an interface of that VLAN (ip link add link \
                         {i} name {i}.{vlan} type vlan id {vlan})"
                    ));
                }
                None => {
                    let memberships = vec![(*g.membership).clone()];
                    let typed = g.membership.to_string();
                    self.say(format!("joining {typed} · {} leaves it", ctx.key(Cmd::Leave)));
                    self.shared.actions.push(Action::Join { memberships, typed, keep: false });
                }
            },
            Cmd::Send => {
                let dialog = self.dialogs.send(g.id, ctx);
                self.layers.push(dialog);
            }
            Cmd::SendTest => {
                self.shared.actions.push(Action::SendTest(g.id));
                self.say(format!("sending a test message to {name} by {}", g.membership.iface));
            }
            Cmd::Leave => {
                self.shared.actions.push(Action::Leave(vec![g.id]));
                self.say(format!("left {} · {} brings it back", g.membership, ctx.key(Cmd::Undo)));
            }
            Cmd::Retry => self.shared.actions.push(Action::Retry(g.id)),
            Cmd::Reset => {
                self.totals = None;
                self.shared.actions.push(Action::Reset(Some(g.id)));
                let all = ctx.key(Cmd::ResetAll);
                self.say(format!("the counters of {} are set to zero · {all}: all", g.membership));
            }
            Cmd::Ping => {
                let (layer, begin) = self.dialogs.ping(g.id);
                self.layers.push(layer);
                self.shared.actions.push(begin);
            }
            Cmd::Respond => {
                let mode = if g.responding { Respond::Off } else { Respond::Probes };
                self.shared.actions.push(Action::Respond(g.id, mode));
            }
            Cmd::Feed => self.mark_feed(ctx),
            Cmd::Protocol => {
                let Some(s) = self.shared.source.and_then(|from| g.sources.get(from)) else { return };
                self.layers.push(Box::new(ProtocolChooser::new(g.id, s.endpoint)));
            }
            Cmd::Block | Cmd::Only | Cmd::Everybody => self.let_through(cmd, g, ctx),
            _ => {}
        }
    }

    /// Changes which senders of a row are let through.
    fn let_through(&mut self, cmd: Cmd, g: &Group, ctx: &Ctx<'_>) {
        let untold = ctx.model.version_without_sources(&g.membership);
        let here = untold.map_or_else(String::new, |u| format!(" · only on this host: {}", u.name()));
        let (id, name, now) = (g.id, spec(&g.membership), &g.membership.filter);
        let everybody = ctx.key(Cmd::Everybody);
        if cmd == Cmd::Everybody {
            if *now == SourceFilter::Any {
                return self.say(format!("{name}: everybody is let through already"));
            }
            self.shared.before_only.remove(&id);
            self.say(format!("{name}: everybody is let through"));
            return self.shared.actions.push(Action::Filter(id, SourceFilter::Any));
        }
        let Some(ip) = self.shared.source.map(|s| s.ip) else { return };
        let only = SourceFilter::only(ip);
        if cmd == Cmd::Only {
            let next = if *now == only {
                self.shared.before_only.remove(&id).unwrap_or_default()
            } else {
                self.shared.before_only.entry(id).or_insert_with(|| now.clone());
                only
            };
            let back = match &next {
                SourceFilter::Include(_) => {
                    format!(" · {} goes back, {everybody}: everybody", ctx.key(Cmd::Only))
                }
                _ => String::new(),
            };
            let here = if next == SourceFilter::Any { "" } else { &here };
            self.say(format!("{name}: {next} is let through{here}{back}"));
            return self.shared.actions.push(Action::Filter(id, next));
        }
        let action = match (now, now.toggled(ip)) {
            (_, None) => {
                return self
                    .say(format!("{ip} is the only one let through · {everybody} lets everybody through"));
            }
            (SourceFilter::Include(_), Some(next)) => {
                self.say(format!("{name}: {next} is let through{here}"));
                Action::Filter(id, next)
            }
            _ if now.passes(ip) => {
                let key = ctx.key(Cmd::Block);
                self.say(format!("{ip} is blocked on {name}{here} · {key} lets it through again"));
                Action::Block(id, ip)
            }
            _ => {
                self.say(format!("{ip} is let through on {name}"));
                Action::Unblock(id, ip)
            }
        };
        self.shared.actions.push(action);
    }

    /// The tap on or off, or as deep as the adapters let it.
    fn tap(&mut self, cmd: Cmd, ctx: &Ctx<'_>) {
        let wire = ctx.model.wire();
        if let Some((error, remedy)) = wire.refused() {
            let remedy = remedy.map_or_else(String::new, |r| format!(" · {r}"));
            return self.say(format!("{error}{remedy}"));
        }
        let depth = match (cmd, wire.depth()) {
            (Cmd::TapAll, Depth::All) => Depth::Wire,
            (Cmd::TapAll, _) => Depth::All,
            (_, Depth::Wire | Depth::All) => Depth::Ears,
            _ => Depth::Wire,
        };
        self.say(match depth {
            Depth::All => format!(
                "tap on: the adapters let all multicast through, no switch is told · {}: what arrives",
                ctx.key(Cmd::TapAll)
            ),
            Depth::Wire => format!(
                "tap on: every group that arrives is shown, ◇ where nobody joined it · {}: off",
                ctx.key(Cmd::Tap)
            ),
            _ => "tap off: joined groups only".to_owned(),
        });
        self.totals = None;
        self.shared.actions.push(Action::Tap(depth));
    }

    fn mark(&mut self, ctx: &Ctx<'_>) {
        let Some(id) = self.shared.group_id() else { return };
        let Some(packet) = self.shared.copied(ctx) else { return };
        let this = (id, packet.packet.number);
        if self.shared.marks.remove(&this).is_none() {
            if self.shared.marks.len() == MARKS_MAX {
                return self.say(format!("{MARKS_MAX} packets are marked: take one away first"));
            }
            self.shared.marks.insert(this, packet);
        }
    }

    /// A, then B; on a stream that is marked the mark is taken back.
    fn mark_feed(&mut self, ctx: &Ctx<'_>) {
        let s = &mut self.shared;
        let Some((g, source)) = stream::selected(s, ctx) else {
            return self.say("nobody has sent to this group yet: there is no stream to mark");
        };
        let this = (g.id, source.endpoint);
        let name = format!("{} to {}", source.endpoint, g.membership);
        let key = ctx.key(Cmd::Feed);
        let text = if let Some((pair, _)) = ctx.model.pair_of(this.0, this.1) {
            s.actions.push(Action::Unpair(pair.id));
            format!("{} is not compared any more", pairs::title(pair))
        } else {
            match s.marked.take() {
                Some(a) if a == this => format!("A is taken back: {name}"),
                Some(a) if ctx.model.group(a.0).is_some() => {
                    s.actions.push(Action::Pair([a, this]));
                    let both = ctx.key(Cmd::View('2'));
                    format!("B is marked: {both} shows both as one feed, {key} takes it back · B is {name}")
                }
                _ => {
                    s.marked = Some(this);
                    format!("A is marked: select the other stream, {key} marks it as B · A is {name}")
                }
            }
        };
        self.say(text);
    }

    fn copy_hex(&mut self, ctx: &Ctx<'_>) {
        let Some((_, bytes)) = self.shared.packet(ctx) else { return };
        let part = bytes.get(self.shared.field.clone()).filter(|f| !f.is_empty());
        let what = if part.is_some() { "the field" } else { "the payload" };
        let bytes = part.unwrap_or(bytes);
        let text = bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
        self.say(format!("copied {what} as hex: {}", visible(&text, 120)));
        self.shared.actions.push(Action::Copy(text));
    }

    fn show(&mut self, view: Option<usize>) {
        self.current = view.unwrap_or(self.current);
    }

    /// One step back: what was done last to narrow the view is undone first.
    fn back(&mut self) {
        let s = &mut self.shared;
        let v = &mut self.views[self.current];
        if v.zoomed {
            v.zoomed = false;
        } else if v.focus > 0 && self.came_from.is_empty() && s.only_source.is_none() {
            v.focus = 0;
        } else if let Some(view) = self.came_from.pop() {
            self.current = view;
            if self.focused() == Kind::Stream {
                // Its packets were opened from there: that was what narrowed them.
                self.shared.only_source = None;
                self.shared.hold(None);
            }
        } else if s.only_source.take().is_some() {
            s.hold(None);
        } else if s.filter.is_set() {
            s.filter = Filter::default();
        } else {
            (s.held, s.event) = (None, None);
        }
    }

    fn step_focus(&mut self, by: isize, ctx: &Ctx<'_>) {
        let n = self.view().panes.len() as isize;
        let from = self.view().focus as isize;
        for k in 1..n {
            let to = (from + by * k).rem_euclid(n) as usize;
            if self.would_show(self.current, to, ctx) {
                self.view().focus = to;
                return;
            }
        }
    }

    fn focus_kind(&mut self, kind: Kind, ctx: &Ctx<'_>) {
        // This view, or else the next one that has it.
        let n = self.views.len();
        let order = (0..n).map(|k| (self.current + k) % n);
        for view in order.collect::<Vec<_>>() {
            let found = self.views[view].panes.iter().position(|p| p.kind() == kind);
            if let Some(pane) = found
                && self.would_show(view, pane, ctx)
            {
                if view != self.current {
                    if self.came_from.len() == VIEWS.len() {
                        self.came_from.remove(0);
                    }
                    self.came_from.push(self.current);
                }
                self.current = view;
                self.view().focus = pane;
                return;
            }
        }
    }

    /// Whether a pane has a place when it has the focus.
    fn would_show(&self, view: usize, pane: usize, ctx: &Ctx<'_>) -> bool {
        let v = &self.views[view];
        let places = (v.row.layout)(self.body(), &plan(v.panes[pane].kind(), &self.shared, ctx));
        places.get(pane).is_some_and(|r| r.area() > 0)
    }
}
