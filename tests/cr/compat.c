/* SPDX-License-Identifier: Apache-2.0 */
/* A child that runs 32-bit code is refused by name, and runs on. */
#include "cr.h"

#include <elf.h>

/* pause(2) for ever: mov $29, %eax; int $0x80; jmp back */
static const unsigned char code[] = {0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7};

#define AT   0x8048000u
#define HEAD (sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr))

static void write_program(int fd)
{
	const Elf32_Ehdr e = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32,
					  ELFDATA2LSB, EV_CURRENT},
			      .e_type = ET_EXEC,
			      .e_machine = EM_386,
			      .e_version = EV_CURRENT,
			      .e_entry = AT + HEAD,
			      .e_phoff = sizeof(e),
			      .e_ehsize = sizeof(e),
			      .e_phentsize = sizeof(Elf32_Phdr),
			      .e_phnum = 1};
	const Elf32_Phdr p = {.p_type = PT_LOAD,
			      .p_vaddr = AT,
			      .p_filesz = HEAD + sizeof(code),
			      .p_memsz = HEAD + sizeof(code),
			      .p_flags = PF_R | PF_X,
			      .p_align = 4096};

	check(write(fd, &e, sizeof(e)) == sizeof(e) && write(fd, &p, sizeof(p)) == sizeof(p) &&
	      write(fd, code, sizeof(code)) == sizeof(code));
}

int main(void)
{
	char *argv[] = {(char *)"thirtytwo", NULL}, *env[] = {NULL};
	int fd = memfd_create("program", MFD_CLOEXEC), gone[2];
	pid_t child;
	char c;

	check(fd >= 0 && pipe2(gone, O_CLOEXEC) == 0);
	write_program(fd);
	child = fork();
	if (child == 0) {
		close(gone[0]);
		fexecve(fd, argv, env);
		_exit(errno == ENOEXEC && write(gone[1], "n", 1) == 1 ? 0 : 1);
	}
	close(gone[1]);
	if (read(gone[0], &c, 1) == 1)
		skip("this kernel runs no 32-bit code");
	say("expect: it runs 32-bit code, which is not saved; end it\n");

	ready();

	check(waitpid(child, NULL, WNOHANG) == 0 && kill(child, SIGKILL) == 0);
	return ok();
}
