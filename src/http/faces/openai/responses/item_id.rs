//! The ids of responses and of their items. They hold the run's, so that an item can be found again by its id alone.

use std::fmt;

use uuid::Uuid;

/// An item of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ItemId {
    pub kind: ItemKind,
    pub run_id: Uuid,
    /// Its place among the response's items of the kind.
    pub place: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemKind {
    Message,
    Reasoning,
    FunctionCall,
}

impl ItemKind {
    /// What ids begin with, as the protocol's clients expect.
    fn prefix(self) -> &'static str {
        match self {
            Self::Message => "msg_",
            Self::Reasoning => "rs_",
            Self::FunctionCall => "fc_",
        }
    }
}

impl ItemId {
    /// Reads an id that the service has given.
    pub fn read(id: &str) -> Option<Self> {
        let kinds = [ItemKind::Message, ItemKind::Reasoning, ItemKind::FunctionCall];
        kinds.into_iter().find_map(|kind| {
            let (run_id, place) = id.strip_prefix(kind.prefix())?.split_once('_')?;
            let run_id = (run_id.len() == 32).then(|| Uuid::try_parse(run_id).ok())??;
            Some(Self { kind, run_id, place: place.parse().ok()? })
        })
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}_{}", self.kind.prefix(), self.run_id.simple(), self.place)
    }
}

const RESPONSE: &str = "resp_";

pub(super) fn response_id(run_id: Uuid) -> String {
    format!("{RESPONSE}{}", run_id.simple())
}

/// The run of a response's id.
pub(super) fn run_of_response(id: &str) -> Option<Uuid> {
    Uuid::try_parse(id.strip_prefix(RESPONSE)?).ok()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{ItemId, ItemKind, response_id, run_of_response};

    #[test]
    fn ids_are_read_as_they_were_given() {
        let run_id = Uuid::now_v7();
        let id = ItemId { kind: ItemKind::FunctionCall, run_id, place: 3 };
        assert_eq!(ItemId::read(&id.to_string()), Some(id));
        assert_eq!(run_of_response(&response_id(run_id)), Some(run_id));
        for foreign in ["msg_68af4030592c8190", "rs_1", "fc_1_2", "", "resp_1"] {
            assert_eq!(ItemId::read(foreign), None, "{foreign}");
            assert_eq!(run_of_response(foreign), None, "{foreign}");
        }
    }
}
