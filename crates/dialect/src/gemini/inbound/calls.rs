//! Pairs calls with their results. Gemini's ids are optional: without them a result belongs
//! to the first call of its name that has none yet.

/// The calls of a conversation so far.
#[derive(Default)]
pub(super) struct Calls {
    open: Vec<Open>,
    count: usize,
}

struct Open {
    id: String,
    name: String,
}

impl Calls {
    /// A call; gives its id, made from its place if it came without.
    pub(super) fn asked(&mut self, id: Option<String>, name: &str) -> String {
        let id = id.unwrap_or_else(|| format!("call_{}", self.count));
        self.count += 1;
        self.open.push(Open { id: id.clone(), name: name.to_owned() });
        id
    }

    /// A result; gives the id of its call.
    pub(super) fn answered(&mut self, id: Option<String>, name: &str) -> String {
        let place = match &id {
            Some(id) => self.open.iter().position(|open| open.id == *id),
            None => self.open.iter().position(|open| open.name == name),
        };
        let open = place.map(|place| self.open.remove(place).id);
        id.or(open).unwrap_or_else(|| format!("call_unknown_{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s8_parallel_calls_of_one_name_are_answered_in_order() {
        let mut calls = Calls::default();
        let (one, other, two) =
            (calls.asked(None, "f"), calls.asked(Some("x".into()), "g"), calls.asked(None, "f"));
        assert_ne!(one, two);
        assert_eq!(calls.answered(None, "f"), one);
        assert_eq!(calls.answered(None, "g"), other);
        assert_eq!(calls.answered(None, "f"), two);
        assert_eq!(calls.answered(Some("y".into()), "f"), "y");
        assert_eq!(calls.answered(None, "f"), "call_unknown_f");
    }
}
