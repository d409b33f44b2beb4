//! Objects, and which process has which of them open.
//!
//! An object is gone when nothing refers to it any more: no descriptor of a process,
//! and no message that is on its way.

use std::collections::{BTreeMap, HashMap};

use crate::event::{Change, Kind, Object, ObjectId};

/// A descriptor in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// What it refers to.
    pub object: ObjectId,
    /// exec closes it.
    pub close_on_exec: bool,
}

/// What has changed since the last event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New objects, and those about which more is known.
    pub objects: Vec<ObjectId>,
    /// Descriptors that were opened and closed.
    pub descriptors: Vec<Change>,
    /// Objects that are gone.
    pub gone: Vec<ObjectId>,
}

/// All objects and tables.
#[derive(Debug, Default)]
pub struct Tables {
    objects: Vec<Object>,
    /// How much refers to each object.
    references: Vec<usize>,
    by_inode: HashMap<u64, ObjectId>,
    tables: Vec<BTreeMap<i32, Descriptor>>,
    /// The table of each process. Processes may share one (clone(2), `CLONE_FILES`).
    by_process: HashMap<i32, usize>,
    changes: Changes,
}

impl Tables {
    /// A new object, to which nothing refers yet.
    pub fn add(&mut self, kind: Kind, label: &str, inode: Option<u64>) -> ObjectId {
        let id = self.objects.len();
        let label = label.to_owned();
        self.objects.push(Object { id, kind, label, peer: None, inode });
        self.references.push(0);
        if let Some(inode) = inode {
            self.by_inode.insert(inode, id);
        }
        self.changes.objects.push(id);
        id
    }

    /// An object.
    pub fn object(&self, id: ObjectId) -> &Object {
        &self.objects[id]
    }

    /// The object with this inode number, if it is not gone.
    pub fn with_inode(&self, inode: u64) -> Option<ObjectId> {
        self.by_inode.get(&inode).copied()
    }

    /// Changes an object: more is known about it.
    pub fn change(&mut self, id: ObjectId, change: impl FnOnce(&mut Object)) {
        let before = self.objects[id].clone();
        change(&mut self.objects[id]);
        if self.objects[id] != before && !self.changes.objects.contains(&id) {
            self.changes.objects.push(id);
        }
    }

    /// The first process.
    pub fn begin(&mut self, pid: i32) {
        self.by_process.insert(pid, self.tables.len());
        self.tables.push(BTreeMap::new());
    }

    /// A child: it has a copy of its parent's table, or `shares` it.
    pub fn fork(&mut self, parent: i32, child: i32, shares: bool) {
        let Some(&table) = self.by_process.get(&parent) else { return };
        let table = if shares { table } else { self.copy(table) };
        self.by_process.insert(child, table);
    }

    fn copy(&mut self, table: usize) -> usize {
        let copy = self.tables[table].clone();
        for descriptor in copy.values() {
            self.references[descriptor.object] += 1;
        }
        self.tables.push(copy);
        self.tables.len() - 1
    }

    /// exec: what is close-on-exec is closed, in a table of the process's own.
    pub fn exec(&mut self, pid: i32) {
        let Some(&table) = self.by_process.get(&pid) else { return };
        if self.users(table) > 1 {
            let copy = self.copy(table);
            self.by_process.insert(pid, copy);
        }
        let closed = self.descriptors(pid).filter(|(_, it)| it.close_on_exec);
        for fd in closed.map(|(fd, _)| fd).collect::<Vec<_>>() {
            self.close(pid, fd);
        }
    }

    /// A process has ended. Its descriptors are closed, without a change for each.
    pub fn exit(&mut self, pid: i32) {
        let Some(table) = self.by_process.remove(&pid) else { return };
        if self.users(table) == 0 {
            for descriptor in std::mem::take(&mut self.tables[table]).into_values()
            {
                self.release(descriptor.object);
            }
        }
    }

    fn users(&self, table: usize) -> usize {
        self.by_process.values().filter(|it| **it == table).count()
    }

    /// The descriptors of a process, in ascending order.
    pub fn descriptors(&self, pid: i32) -> impl Iterator<Item = (i32, Descriptor)> {
        let table = self.by_process.get(&pid).map(|it| &self.tables[*it]);
        table.into_iter().flatten().map(|(fd, descriptor)| (*fd, *descriptor))
    }

    /// What a descriptor of a process refers to.
    pub fn get(&self, pid: i32, fd: i32) -> Option<Descriptor> {
        self.tables[*self.by_process.get(&pid)?].get(&fd).copied()
    }

    /// Whether another process than `pid` has this object open.
    pub fn is_open_elsewhere(&self, pid: i32, object: ObjectId) -> bool {
        let others = self.by_process.keys().filter(|it| **it != pid);
        others.into_iter().any(|&other| {
            self.descriptors(other).any(|(_, it)| it.object == object)
        })
    }

    /// Opens a descriptor. If it was open, it is closed first (dup2(2)).
    pub fn open(&mut self, pid: i32, fd: i32, descriptor: Descriptor) {
        self.hold(descriptor.object);
        self.close(pid, fd);
        let Some(&table) = self.by_process.get(&pid) else {
            return self.release(descriptor.object);
        };
        self.tables[table].insert(fd, descriptor);
        self.note(pid, fd, None);
    }

    /// Closes a descriptor, and returns what it referred to.
    pub fn close(&mut self, pid: i32, fd: i32) -> Option<ObjectId> {
        let table = *self.by_process.get(&pid)?;
        let descriptor = self.tables[table].remove(&fd)?;
        self.note(pid, fd, Some(descriptor.object));
        self.release(descriptor.object);
        Some(descriptor.object)
    }

    /// Sets whether exec closes a descriptor. Returns whether that is a change.
    pub fn set_close_on_exec(&mut self, pid: i32, fd: i32, on: bool) -> bool {
        let Some(&table) = self.by_process.get(&pid) else { return false };
        let Some(descriptor) = self.tables[table].get_mut(&fd) else {
            return false;
        };
        let is_change = std::mem::replace(&mut descriptor.close_on_exec, on) != on;
        if is_change {
            self.note(pid, fd, None);
        }
        is_change
    }

    /// The descriptor has changed: in all processes that share the table.
    fn note(&mut self, pid: i32, fd: i32, was: Option<ObjectId>) {
        let Some(&table) = self.by_process.get(&pid) else { return };
        let descriptor = self.tables[table].get(&fd);
        let object = descriptor.map(|it| it.object);
        let close_on_exec = descriptor.is_some_and(|it| it.close_on_exec);
        let mut pids: Vec<i32> = self.by_process.keys().copied().collect();
        pids.retain(|it| self.by_process[it] == table);
        pids.sort_unstable();
        for pid in pids {
            self.changes.descriptors.push(Change {
                pid,
                fd,
                object,
                was,
                close_on_exec,
            });
        }
    }

    /// A message with this object is on its way.
    pub fn hold(&mut self, object: ObjectId) {
        self.references[object] += 1;
    }

    /// The message has arrived, or is lost.
    pub fn release(&mut self, object: ObjectId) {
        self.references[object] -= 1;
        if self.references[object] == 0 {
            self.changes.gone.push(object);
            if let Some(inode) = self.objects[object].inode {
                // The kernel may use the number again, and may have done so already.
                if self.by_inode.get(&inode) == Some(&object) {
                    self.by_inode.remove(&inode);
                }
            }
        }
    }

    /// How much refers to an object.
    pub fn references(&self, object: ObjectId) -> usize {
        self.references[object]
    }

    /// The objects that are gone since the last call of
    /// [`take_changes`](Tables::take_changes).
    pub fn gone(&self) -> &[ObjectId] {
        &self.changes.gone
    }

    /// What has changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(object: ObjectId) -> Descriptor {
        Descriptor { object, close_on_exec: false }
    }

    fn close_on_exec(object: ObjectId) -> Descriptor {
        Descriptor { object, close_on_exec: true }
    }

    /// A process 1 with a listener at 3 and a close-on-exec file at 4.
    fn tables() -> (Tables, ObjectId, ObjectId) {
        let mut tables = Tables::default();
        tables.begin(1);
        let listener = tables.add(Kind::Listener, "127.0.0.1:80", Some(70));
        let file = tables.add(Kind::File, "/f", None);
        tables.open(1, 3, open(listener));
        tables.open(1, 4, close_on_exec(file));
        tables.take_changes();
        (tables, listener, file)
    }

    #[test]
    fn a_child_has_a_copy_and_exec_closes_a_part_of_it() {
        let (mut tables, listener, file) = tables();
        tables.fork(1, 2, false);
        assert_eq!(tables.references(listener), 2);
        tables.exec(2);
        assert_eq!(tables.get(2, 3), Some(open(listener)));
        assert_eq!(
            (tables.get(2, 4), tables.get(1, 4)),
            (None, Some(close_on_exec(file)))
        );
        let changes = tables.take_changes();
        assert!(changes.gone.is_empty());
        let closed = Change {
            pid: 2,
            fd: 4,
            object: None,
            was: Some(file),
            close_on_exec: false,
        };
        assert_eq!(changes.descriptors, [closed]);
    }

    #[test]
    fn an_object_is_gone_with_its_last_descriptor() {
        let (mut tables, listener, _) = tables();
        tables.fork(1, 2, false);
        assert_eq!(tables.close(1, 3), Some(listener));
        assert!(tables.take_changes().gone.is_empty());
        assert_eq!(tables.with_inode(70), Some(listener));
        tables.exit(2);
        assert!(tables.take_changes().gone.contains(&listener));
        assert_eq!(tables.with_inode(70), None);
        assert_eq!(tables.close(1, 3), None, "it is closed already");
    }

    #[test]
    fn what_is_on_its_way_is_not_gone() {
        let (mut tables, listener, _) = tables();
        tables.hold(listener);
        tables.close(1, 3);
        assert!(tables.take_changes().gone.is_empty());
        tables.fork(1, 2, false);
        tables.open(2, 9, open(listener));
        tables.release(listener);
        assert_eq!(tables.references(listener), 1);
    }

    #[test]
    fn dup2_replaces_also_by_the_same_object() {
        let (mut tables, listener, file) = tables();
        tables.open(1, 4, open(listener));
        assert_eq!(tables.take_changes().gone, [file]);
        tables.open(1, 4, close_on_exec(listener));
        assert!(tables.take_changes().gone.is_empty());
        assert_eq!(tables.references(listener), 2);
        assert!(tables.set_close_on_exec(1, 4, false));
        assert!(!tables.set_close_on_exec(1, 4, false));
    }

    #[test]
    fn a_shared_table_ends_with_exec() {
        let (mut tables, listener, _) = tables();
        tables.fork(1, 2, true);
        tables.open(2, 5, open(listener));
        assert_eq!(tables.get(1, 5), Some(open(listener)), "they share it");
        assert_eq!(tables.take_changes().descriptors.len(), 2, "a change for each");
        tables.exec(2);
        tables.close(2, 5);
        assert_eq!(tables.get(1, 5), Some(open(listener)));
        tables.exit(1);
        assert!(tables.is_open_elsewhere(1, listener));
        assert_eq!(tables.references(listener), 1);
    }

    #[test]
    fn an_inode_number_can_be_used_again() {
        let (mut tables, listener, _) = tables();
        let other = tables.add(Kind::Socket, "socket", Some(70));
        tables.open(1, 8, open(other));
        tables.close(1, 3);
        assert_eq!(tables.take_changes().gone, [listener]);
        assert_eq!(
            tables.with_inode(70),
            Some(other),
            "the number is the new one's"
        );
    }
}
