//! Counts of what happened, so that a simulation in which nothing happens is found out.

macro_rules! tally {
    ($($name:ident),+ $(,)?) => {
        /// How often each thing happened.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Tally {
            $(pub(crate) $name: u64,)+
        }

        impl Tally {
            pub(crate) fn add(&mut self, other: &Tally) {
                $(self.$name += other.$name;)+
            }

            /// Each count by its name.
            pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),+]
            }
        }
    };
}

tally!(
    steps,
    connections,
    answers,
    enrolments_tried,
    enrolled,
    check_ins,
    empty,
    policies,
    actions,
    acks,
    acknowledged,
    left,
    strangers,
    misbehaved,
    vanished,
    abandoned,
    batches,
    faults,
    hangs,
    repeated,
    revisions,
    deleted,
    actions_written,
    reassigned,
    leaps,
    clock_set,
);
