package pushload

// kernelStacks are call chains of a Linux 6 kernel as perf shows them, leaf first.
var kernelStacks = [][]string{
	{"do_syscall_64", "entry_SYSCALL_64_after_hwframe"},
	{"copy_page_to_iter", "filemap_read", "vfs_read", "ksys_read", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"},
	{"_copy_to_iter", "tcp_recvmsg_locked", "tcp_recvmsg", "inet_recvmsg", "sock_recvmsg", "sock_read_iter", "vfs_read", "ksys_read", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"},
	{"tcp_write_xmit", "__tcp_push_pending_frames", "tcp_sendmsg_locked", "tcp_sendmsg", "sock_write_iter", "vfs_write", "ksys_write", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"},
	{"futex_wake", "do_futex", "__x64_sys_futex", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"},
	{"futex_q_lock", "futex_wait_setup", "__futex_wait", "futex_wait", "do_futex", "__x64_sys_futex", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"},
	{"clear_page_erms", "get_page_from_freelist", "__alloc_pages", "vma_alloc_folio", "do_anonymous_page", "handle_mm_fault", "do_user_addr_fault", "exc_page_fault", "asm_exc_page_fault"},
	{"ep_poll", "do_epoll_wait", "__x64_sys_epoll_pwait", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"},
	{"finish_task_switch", "__schedule", "schedule", "exit_to_user_mode_prepare", "irqentry_exit_to_user_mode", "asm_sysvec_apic_timer_interrupt"},
}

// kernelText is where the functions of kernelStacks are said to begin.
const kernelText = 0xffff_ffff_8100_0000
