//! Who is next.

// ANCHOR: round_robin
/// Gives every one its turn: 0, 1, … and 0 again.
#[derive(Debug, Default)]
pub struct RoundRobin {
    next: usize,
}

impl RoundRobin {
    /// Whose turn it is, out of `count`. One that is not `free` is passed over; `None` if nobody is.
    pub fn pick(
        &mut self,
        count: usize,
        free: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let chosen = (self.next..self.next + count)
            .map(|turn| turn % count)
            .find(|&n| free(n))?;
        self.next = (chosen + 1) % count;
        Some(chosen)
    }
}
// ANCHOR_END: round_robin

#[cfg(test)]
mod tests {
    use super::RoundRobin;

    #[test]
    fn everyone_has_a_turn() {
        let mut turn = RoundRobin::default();
        let picks: Vec<_> = (0..5).map(|_| turn.pick(2, |_| true)).collect();
        assert_eq!(picks, [Some(0), Some(1), Some(0), Some(1), Some(0)]);
    }

    #[test]
    fn who_is_not_free_is_passed_over() {
        let mut turn = RoundRobin::default();
        assert_eq!(turn.pick(3, |n| n == 2), Some(2));
        assert_eq!(turn.pick(3, |n| n != 1), Some(0));
        assert_eq!(turn.pick(3, |_| false), None);
        assert_eq!(turn.pick(0, |_| true), None);
    }
}
