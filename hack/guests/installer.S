# An installer for QEMU with SeaBIOS, as small as one can be: El Torito without emulation loads it from a CD to 0x7C00,
# 16-bit real mode, with the sector to install behind it. It talks on COM1 only:
#
#     ISO-UP ISO-INSTALLED
#
# It writes that sector to the first one of the first hard disk (BIOS drive 0x80) and resets the machine, which boots the
# disk from then on. A disk error prints ISO-ERR and halts.
#
# installer.bin is this file assembled; tests/unit/hack/guests holds the two together:
#     as --32 -o installer.o installer.S
#     ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o installer.bin installer.o

        .code16
        .text
        .globl  _start

_start: ljmp    $0, $entry
entry:  xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $_start, %sp
        cld
        movw    $text_up, %si
        call    print
        movw    $packet, %si
        movb    $0x80, %dl
        movw    $0x4300, %ax                    # AL 0: write without verify
        int     $0x13
        jc      failed
        movw    $text_installed, %si
        call    print
full:   inb     $0x64, %al                      # until the keyboard controller takes a command
        testb   $2, %al
        jnz     full
        movb    $0xfe, %al                      # pulse the reset line
        outb    %al, $0x64
        jmp     halt
failed: movw    $text_error, %si
        call    print
halt:   cli
        hlt
        jmp     halt

# SI: text that ends with a zero byte.
print:  lodsb
        testb   %al, %al
        jz      return
        call    put
        jmp     print

# AL to COM1, once it is ready.
put:    pushw   %ax
        movw    $0x3fd, %dx
busy:   inb     %dx, %al
        testb   $0x20, %al
        jz      busy
        popw    %ax
        movw    $0x3f8, %dx
        outb    %al, %dx
return: ret

text_up:        .asciz "ISO-UP "
text_installed: .asciz "ISO-INSTALLED\r\n"
text_error:     .asciz "ISO-ERR\r\n"

        .balign 4
packet: .byte   16, 0
        .word   1                               # sector
        .word   payload, 0                      # offset, segment
        .long   0, 0                            # to the disk's first

        .org    0x200
payload:
