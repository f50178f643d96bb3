//! What is done with a guest once it is installed.

use super::reader::Reader;
use crate::sequence::diagnostic::DiagnosticKind;
use crate::sequence::syntax::NodeId;
use crate::sequence::values::parse_call;
use crate::sequence::vocabulary::Attr;
use crate::sequence::{AfterInstall, CallArgument, GuestAction, GuestCall, Literal};

impl Reader<'_> {
    /// `<postinstall>`.
    pub(super) fn after_install(&mut self, node: NodeId) -> Option<AfterInstall> {
        let at = self.unit().tree.at(node);
        let value = self.attribute(node, Attr::Action)?;
        if !value.settled {
            return None;
        }
        let Some(call) = parse_call(&value.text) else {
            let expected =
                "the name of an action such as shutdown, or a call with literal arguments";
            let problem = self.invalid(&value, &"`action` of <postinstall>", expected);
            self.push_lenient(problem);
            return None;
        };
        if let Some(comment) = value.text.find('#')
            && value.text[..comment].trim_end().ends_with(')')
        {
            let message = "a comment in `action`";
            let problem = self.problem(DiagnosticKind::NoEffect, value.at, message);
            self.push(problem.warning().help("remove what begins with `#`"));
        }
        Some(AfterInstall { action: action(call), place: self.place(at) })
    }
}

fn action(call: GuestCall) -> GuestAction {
    if let ("snapshot", arguments) = (call.method.as_str(), &call.arguments[..]) {
        match arguments {
            [] => return GuestAction::Snapshot { name: None },
            [CallArgument { name, value: Literal::Text(text) }]
                if matches!(name.as_deref(), None | Some("name")) =>
            {
                return GuestAction::Snapshot { name: Some(text.clone()) };
            }
            _ => {}
        }
    }
    if !call.arguments.is_empty() {
        return GuestAction::Other(call);
    }
    match call.method.as_str() {
        "start" => GuestAction::Start,
        "shutdown" => GuestAction::Shutdown,
        "reboot" => GuestAction::Reboot,
        "pause" => GuestAction::Pause,
        "suspend" => GuestAction::Suspend,
        "convertToTemplate" => GuestAction::ConvertToTemplate,
        "preCloneTailor" => GuestAction::PrepareForCloning,
        "removeCD" => GuestAction::RemoveCd,
        "installDrivers" => GuestAction::InstallDrivers,
        "installTools" => GuestAction::InstallTools,
        "disableFirewall" => GuestAction::DisableFirewall,
        _ => GuestAction::Other(call),
    }
}
