//! Which processes a sandboxed program may not signal.
//!
//! `kill(-1, SIGKILL)` kills every process of a user: fork(2) fails, the program
//! takes its -1 for a pid, and the student's editor is gone, and the other tests. A
//! filter on system calls (seccomp(2)) refuses that, and signals to the test
//! process, with `EPERM`.

use std::io;

use nix::libc::{self, c_long, sock_filter, sock_fprog};

/// System calls whose first argument is the process to signal.
const SIGNAL_CALLS: [c_long; 4] = [
    libc::SYS_kill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_pidfd_open,
];

/// The offsets in `struct seccomp_data` of the system call's number, and of the low
/// half of its first argument.
const NUMBER: u32 = 0;
const FIRST_ARGUMENT: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };

/// A filter, ready to be installed between fork and exec.
pub(super) struct Filter(Vec<sock_filter>);

impl Filter {
    /// Refuses to signal all processes, and to signal `protected`.
    pub fn protecting(protected: libc::pid_t) -> Filter {
        const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
        const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
        // `then` and `otherwise` are the numbers of instructions to skip.
        let instruction = |code: u32, k: u32, then, otherwise| sock_filter {
            code: code as u16,
            jt: then,
            jf: otherwise,
            k,
        };

        let mut program = vec![instruction(LOAD, NUMBER, 0, 0)];
        for (call, left) in SIGNAL_CALLS.into_iter().zip((0u8..4).rev()) {
            // One of these calls: on to its argument. None of them: on to ALLOW.
            let otherwise = if left == 0 { 3 } else { 0 };
            program.push(instruction(IF_EQUAL, call as u32, left, otherwise));
        }
        program.extend([
            instruction(LOAD, FIRST_ARGUMENT, 0, 0),
            instruction(IF_EQUAL, u32::MAX, 2, 0), // kill(-1, …)
            instruction(IF_EQUAL, protected as u32, 1, 0),
            instruction(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
            instruction(RETURN, REFUSE, 0, 0),
        ]);
        Filter(program)
    }

    /// Installs it in this process, for good. One system call; needs
    /// `no_new_privs`. On a kernel without filters it does nothing.
    pub fn install(&self) -> io::Result<()> {
        let program = sock_fprog {
            len: self.0.len() as u16,
            filter: self.0.as_ptr().cast_mut().cast(),
        };
        // SAFETY: the kernel copies the program, and changes nothing here.
        let result = unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER as libc::c_ulong,
                &program,
            )
        };
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            _ if result == 0 => Ok(()),
            Some(libc::EINVAL | libc::ENOSYS) => Ok(()),
            _ => Err(error),
        }
    }
}
