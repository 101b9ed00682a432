# A guest of 512 bytes that fills its disk and reads it back; built and loaded like bootsector.S, whose notes hold here too.
#
# It writes `nchunk` chunks of 32 KiB from LBA 64 on, one after the other. The words of chunk n are n, n + 0x9E37, and so on
# (modulo 2^16). When all are written it reads them again and compares each word:
#
#     FILL-UP WRITTEN FILL-OK
#
# FILL-BAD means that a word was not what had been written, FILL-ERR that the disk answered with an error.
#
#     as --32 -o fillsector.o fillsector.S
#     ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o fillsector.bin fillsector.o

        .code16
        .text
        .globl  _start
        .set    buffer_segment, 0x1000
        .set    chunk_sectors, 64
        .set    chunk_words, chunk_sectors * 256
        .set    step, 0x9e37

_start: ljmp    $0, $entry
entry:  xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $_start, %sp
        movw    $buffer_segment, %ax
        movw    %ax, %es
        cld
        movb    %dl, drive
        movw    $text_up, %si
        call    print

        xorw    %bp, %bp                        # the chunk
write:  call    begin
fill:   stosw
        addw    $step, %ax
        loop    fill
        movw    $0x4300, %ax                    # AL 0: write without verify
        call    disk
        jb      write
        movw    $text_written, %si
        call    print

        movl    $chunk_sectors, packet_lba
        xorw    %bp, %bp
read:   movb    $0x42, %ah
        call    disk
        pushf
        decw    %bp
        call    begin
        incw    %bp
compare:
        scasw
        jne     bad
        addw    $step, %ax
        loop    compare
        popf
        jb      read
        movw    $text_ok, %si
        jmp     finish
bad:    movw    $text_bad, %si
finish: call    print
halt:   cli
        hlt
        jmp     halt

# The first word of chunk BP, its place and its length.
begin:  movw    %bp, %ax
        xorw    %di, %di
        movw    $chunk_words, %cx
        ret

# AX: INT 13h function on the present chunk. Afterwards the next one is present, and CF says that there is one.
disk:   movw    $packet, %si
        movb    drive, %dl
        int     $0x13
        jc      failed
        addl    $chunk_sectors, packet_lba
        incw    %bp
        cmpw    nchunk, %bp
        ret
failed: movw    $text_error, %si
        jmp     finish

# SI: text that ends with a zero byte.
print:  lodsb
        testb   %al, %al
        jz      return
        pushw   %ax
        movw    $0x3fd, %dx
busy:   inb     %dx, %al
        testb   $0x20, %al
        jz      busy
        popw    %ax
        movw    $0x3f8, %dx
        outb    %al, %dx
        jmp     print
return: ret

text_up:        .asciz "FILL-UP "
text_written:   .asciz "WRITTEN "
text_ok:        .asciz "FILL-OK\r\n"
text_bad:       .asciz "FILL-BAD\r\n"
text_error:     .asciz "FILL-ERR\r\n"
drive:          .byte 0

        .balign 4
packet:         .byte 16, 0
                .word chunk_sectors
                .word 0, buffer_segment
packet_lba:     .long chunk_sectors, 0

        .org    0x1f0
nchunk: .word   64
        .fill   12, 1, 0
        .word   0xaa55
