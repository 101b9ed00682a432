# A guest of 512 bytes for QEMU with SeaBIOS: 16-bit real mode, loaded at 0x7C00, talks on COM1 only.
#
# It reads `nchunk` chunks of 32 KiB from LBA 64 on, in steps of `stride` sectors, and sums their little-endian words
# (add, rotate left by one). Then it counts its boots in the first word of LBA 1, which makes an overlay dirty:
#
#     BS-UP SUM B0E8 BOOTS 0001 BS-MARKER
#
# At the end it writes 0x10 to port 0xF4 (with isa-debug-exit,iobase=0xf4,iosize=4 QEMU ends with rc 33) and halts.
# A disk error prints BS-ERR and ends in the same way.
#
# bootsector.bin is this file assembled; tests/unit/hack/guests holds the two together:
#     as --32 -o bootsector.o bootsector.S
#     ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o bootsector.bin bootsector.o

        .code16
        .text
        .globl  _start
        .set    buffer_segment, 0x1000          # 32 KiB at 0x10000, clear of the BIOS and of this sector
        .set    chunk_sectors, 64

_start: ljmp    $0, $entry                      # some BIOSes start at 07C0:0000
entry:  xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $_start, %sp
        cld
        movb    %dl, drive
        movw    $text_up, %si
        call    print

        xorw    %bp, %bp                        # the sum
        movw    nchunk, %cx
        jcxz    summed
chunk:  pushw   %cx
        movb    $0x42, %ah
        call    disk
        pushw   %ds
        movw    $buffer_segment, %ax
        movw    %ax, %ds
        xorw    %si, %si
        movw    $(chunk_sectors * 256), %cx
word:   lodsw
        addw    %ax, %bp
        rolw    $1, %bp
        loop    word
        popw    %ds
        movl    stride, %eax
        addl    %eax, packet_lba
        popw    %cx
        loop    chunk
summed: movw    $text_sum, %si
        call    print
        call    print_word

        movw    $1, packet_count
        movl    $1, packet_lba
        movb    $0x42, %ah
        call    disk
        pushw   $buffer_segment
        popw    %es
        incw    %es:0
        movw    %es:0, %bp
        movw    $0x4300, %ax                    # AL 0: write without verify
        call    disk
        movw    $text_boots, %si
        call    print
        call    print_word
        movw    $text_marker, %si
finish: call    print
        movb    $0x10, %al
        outb    %al, $0xf4
halt:   cli
        hlt
        jmp     halt

# AH: INT 13h function, by the packet below. Does not return after an error.
disk:   movw    $packet, %si
        movb    drive, %dl
        int     $0x13
        jc      failed
        ret
failed: movw    $text_error, %si
        jmp     finish

# BP as four hex digits.
print_word:
        movw    $4, %cx
digit:  rolw    $4, %bp
        movw    %bp, %ax
        andb    $15, %al
        addb    $'0', %al
        cmpb    $'9', %al
        jbe     emit
        addb    $('A' - '0' - 10), %al
emit:   call    put
        loop    digit
        ret

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

text_up:        .asciz "BS-UP "
text_sum:       .asciz "SUM "
text_boots:     .asciz " BOOTS "
text_marker:    .asciz " BS-MARKER\r\n"
text_error:     .asciz "BS-ERR\r\n"
drive:          .byte 0

        .balign 4
packet:         .byte 16, 0
packet_count:   .word chunk_sectors
                .word 0, buffer_segment
packet_lba:     .long 64, 0

        .org    0x1f0
nchunk: .word   64
stride: .long   64
        .fill   8, 1, 0
        .word   0xaa55
