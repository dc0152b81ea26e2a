use strict;
use POSIX ();
use Fcntl qw(O_RDONLY O_WRONLY O_RDWR O_APPEND O_CREAT O_DIRECTORY O_EXCL O_NONBLOCK O_NOFOLLOW);

# The process that workers are forked from. Forking costs time by the memory of who forks, and this holds next to nothing.
#
# Orders come on standard input: four bytes of length, four of the text's length, the text (fields that end with NUL), and
# the content of files, one behind the other. The fields of a start: "start", id, mark, uid and gid (both empty: stay who
# we are), folder, output pipe, exit record; then, each list behind its length: groups, steps (what is made, path, mode,
# uid, gid, size of the content), variables, words that stand before; then the words. Of a removal: "remove", id; then of
# each attempt: checkpoint and link (or empty), number of folders, these. Nothing in an order is ever read by a shell.
# Reports go to standard output, a line each:
#   started ID PID STARTTIME | exited ID CODE SIGNAL | failed ID REASON | gone ID | removed ID
#
# The argument is never read: a shim's name takes the place of this process's arguments, and needs room there.
#
# Each worker has a shim: a copy of this process that leads the worker's session, stays who it is (so the worker can
# neither end it nor write its record), waits for the worker, and keeps its exit record whatever happens to the others.

# A record tells its start by the id, so the file is cut only now and then.
my $RECORD_CAP = 8192;
# How soon it is noticed that a shim was killed.
my $REAP_SECONDS = 0.2;
my $READ_BYTES = 65536;

# F_SETPIPE_SZ, which perl's modules don't name.
my $SET_PIPE_SIZE = 1031;

# Run when the privileges are gone: the variables from descriptor 3, then the program.
my $UNWRAP = <<'END';
$SIG{FPE} = 'DEFAULT';
open my $from, '<&=', 3;
%ENV = map { split /=/, $_, 2 } split /\0/, do { local $/; <$from> };
close $from;
exec { $ARGV[0] } @ARGV;
syswrite STDERR, "muster: $ARGV[0]: $!\n";
exit($!{ENOENT} ? 127 : 126);
END

my $parent = $$;
my $me = $>;
my $own_group = (split / /, $))[0];
my %shims;

# Nothing that is sent to a worker's whole session may end its shim; the worker itself begins with an empty mask.
my $all = POSIX::SigSet->new;
$all->fillset;
my $none = POSIX::SigSet->new;
POSIX::sigprocmask(POSIX::SIG_SETMASK(), $all);
# perl ignores it, and that would be inherited
$SIG{FPE} = 'DEFAULT';

# What whoever started the agent left open is no business of workers.
if (opendir my $open, '/proc/self/fd') {
    for (readdir $open) { POSIX::close($_) if /^\d+$/ && $_ > 2 && $_ != fileno $open }
}

# Both are closed in workers; what those get instead of them is this process's own.
open my $orders, '<&', \*STDIN or die "orders: $!";
open my $reports, '>&', \*STDOUT or die "reports: $!";
open STDIN, '<', '/dev/null' or die "/dev/null: $!";
open STDOUT, '>&', \*STDERR or die "standard output: $!";
my $order_bits = '';
vec($order_bits, fileno $orders, 1) = 1;

# Short enough to be written whole or not at all, however many write.
sub report { return syswrite $reports, "@_\n" }

sub failed {
    my ($id, $reason) = @_;
    $reason =~ tr/\n/ /;
    report('failed', $id, $reason);
    POSIX::_exit(1);
}

# What the program itself would say if it couldn't begin: into its output.
sub give_up {
    my ($code, $reason) = @_;
    syswrite STDERR, "muster: $reason\n";
    POSIX::_exit($code);
}

sub become {
    my ($uid, $gid) = @_;
    $! = 0;
    $) = "$gid $gid";
    give_up(125, "could not leave its groups: $!") if $! || $) ne "$gid $gid";
    POSIX::setgid($gid) or give_up(125, "could not become its group: $!");
    POSIX::setuid($uid) or give_up(125, "could not become its user: $!");
    give_up(125, 'is still privileged') if $< != $uid || $> != $uid || POSIX::setuid(0);
}

# Says what is wrong, or nothing.
sub ensure {
    my ($path, $mode, $uid, $gid) = @_;
    if (!mkdir $path, $mode) {
        return "$path: $!" if $! != POSIX::EEXIST();
        my $owner = (lstat $path)[4] // return "$path: $!";
        return "$path is there but is not a folder of user $uid" if !-d _ || $owner != $uid && $owner != $me;
        return '' if $owner == $uid;
        # another worker's shim has just made it, and was about to hand it over
    }
    return '' if $uid == $me;
    # through a descriptor: never what a link leads to
    my $made;
    return sysopen($made, $path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) && chown($uid, $gid, $made) ? '' : "$path: $!";
}

# The folder around it may just go with an earlier attempt.
sub ensure_checkpoint {
    my ($path, $mode, $uid, $gid) = @_;
    my ($job) = $path =~ m{^(.*)/}s or return "$path is no path";
    my $wrong = '';
    for (1 .. 5) {
        $wrong = ensure($job, 0711, $me, $own_group) || ensure($path, $mode, $uid, $gid);
        last if $wrong eq '' || $! != POSIX::ENOENT();
    }
    return $wrong;
}

# As steps.ts does it where there is no perl; that says what the kinds of steps are for.
sub take_steps {
    my ($id, $steps, $contents) = @_;
    for (@$steps) {
        my ($make, $path, $mode, $uid, $gid, $size) = @$_;
        my $others = $uid != $me;
        if ($make eq 'ensure' || $make eq 'checkpoint') {
            my $wrong = ($make eq 'ensure' ? \&ensure : \&ensure_checkpoint)->($path, $mode, $uid, $gid);
            failed($id, $wrong) if $wrong ne '';
        }
        elsif ($make eq 'folder') { mkdir $path, $mode or failed($id, "$path: $!") }
        elsif ($make eq 'own') { !$others || chown $uid, $gid, $path or failed($id, "$path: $!") }
        else {
            my $plain = !($mode & ~0600);
            sysopen my $file, $path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, $plain ? $mode : 0600 or failed($id, "$path: $!");
            my $content = substr $$contents, 0, $size, '';
            $size == 0 || (syswrite($file, $content) // 0) == $size or failed($id, "$path: $!");
            $plain || chmod $mode, $file or failed($id, "$path: $!");
            !$others || chown $uid, $gid, $file or failed($id, "$path: $!");
        }
    }
}

sub work {
    my ($order, $pipe) = @_;
    POSIX::dup2(fileno $pipe, 1);
    POSIX::dup2(fileno $pipe, 2);
    for my $list (@{$order->{groups}}) {
        my $group;
        sysopen($group, $list, O_WRONLY) && syswrite($group, '0') or give_up(125, "could not join its control group: $!");
    }
    become($order->{uid}, $order->{gid}) if $order->{uid} ne '';
    POSIX::sigprocmask(POSIX::SIG_SETMASK(), $none);
    my @words = @{$order->{words}};
    if (my @wrap = @{$order->{wrap}}) {
        # what is still privileged sees nothing of the worker's variables, some of which could run other code in it
        pipe my $from, my $to or give_up(125, "no pipe could be made: $!");
        my $variables = join "\0", @{$order->{env}};
        fcntl $to, $SET_PIPE_SIZE, length $variables if length $variables > $READ_BYTES;
        $to->blocking(0);
        (syswrite($to, $variables) // 0) == length $variables or give_up(125, 'its environment is too large');
        close $to;
        POSIX::dup2(fileno $from, 3);
        %ENV = (PATH => '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL => 'C.UTF-8');
        exec { $wrap[0] } @wrap, $^X, '-e', $UNWRAP, @words;
        give_up(126, "$wrap[0]: $!");
    }
    %ENV = map { split /=/, $_, 2 } @{$order->{env}};
    exec { found($words[0]) } @words;
    exec { $words[0] } @words;
    give_up($! == POSIX::ENOENT() ? 127 : 126, "$words[0]: $!");
}

# A look costs a tenth of an exec that fails.
sub found {
    my ($word) = @_;
    return $word if $word =~ m{/};
    for (split /:/, $ENV{PATH} // '') { return "$_/$word" if m{^/} && -f "$_/$word" && -x _ }
    return $word;
}

# A pipe's content goes with the last who holds the pipe: it is moved into a file for the next agent.
sub keep_output {
    my ($path) = @_;
    sysopen(my $from, $path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW) or return;
    sysopen(my $rest, "$path.rest", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600) or return;
    while (sysread $from, my $data, $READ_BYTES) {
        for (my $at = 0; $at < length $data;) { $at += syswrite($rest, $data, length($data) - $at, $at) || return }
    }
}

sub shim {
    my ($order) = @_;
    my $id = $order->{id};
    close $orders;
    POSIX::setsid();
    $0 = "muster-worker $order->{mark}";
    take_steps(@$order{qw(id steps contents)});
    chdir $order->{cwd} or failed($id, "its folder can't be entered: $!");
    # open for reading too: a worker so keeps it alive through the agent's death, and never meets SIGPIPE
    sysopen(my $pipe, $order->{out}, O_RDWR | O_NOFOLLOW) or failed($id, "its output pipe can't be opened: $!");
    my $pid = fork;
    failed($id, "no process could be made: $!") if !defined $pid;
    work($order, $pipe) if !$pid;

    my ($stat, $line);
    sysopen($stat, '/proc/self/stat', O_RDONLY) && sysread $stat, $line, 4096;
    report('started', $id, $$, (split / /, substr $line, rindex($line, ')') + 2)[19]);
    close $stat;
    waitpid $pid, 0;
    my ($code, $signal) = ($? >> 8, $? & 127);
    keep_output($order->{out}) if getppid != $parent;
    if (sysopen(my $record, $order->{record}, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600)) {
        truncate $record, 0 if -s $record > $RECORD_CAP;
        syswrite $record, $signal ? "$id !$signal\n" : "$id =$code\n";
    }
    report('exited', $id, $code, $signal) or keep_output($order->{out});
    POSIX::_exit(0);
}

sub start {
    my ($fields, $contents) = @_;
    my %order = (contents => $contents);
    my $list = sub { my $length = shift @$fields; return splice @$fields, 0, $length * ($_[0] // 1) };
    @order{qw(id mark uid gid cwd out record)} = splice @$fields, 0, 7;
    $order{groups} = [$list->()];
    my @steps = $list->(6);
    $order{steps} = [map { [splice @steps, 0, 6] } 1 .. @steps / 6];
    $order{env} = [$list->()];
    $order{wrap} = [$list->()];
    $order{words} = $fields;
    my $pid = fork;
    if (!defined $pid) { report('failed', $order{id}, "no process could be made: $!") }
    elsif ($pid) { $shims{$pid} = $order{id} }
    else { shim(\%order) }
}

sub remove {
    my ($fields) = @_;
    my $id = shift @$fields;
    my $pid = fork;
    # without another process this one does it
    return if $pid;
    my @rest;
    while (@$fields) {
        my ($checkpoint, $link, $count) = splice @$fields, 0, 3;
        for my $folder (splice @$fields, 0, $count) {
            unlink "$folder/token";
            rmdir $folder or push @rest, $folder;
        }
        if ($checkpoint ne '' && rmdir $checkpoint) {
            unlink $link;
            rmdir $checkpoint =~ s{/[^/]*\z}{}r;
        }
    }
    # rm walks by descriptors, so a link planted meanwhile leads it nowhere
    $ENV{PATH} = '/usr/bin:/bin';
    system { 'rm' } 'rm', '-rf', '--', @rest if @rest;
    report('removed', $id);
    POSIX::_exit(0) if defined $pid;
}

# A shim that ends by itself has reported; of one that was killed this tells.
sub reap {
    while ((my $pid = waitpid -1, POSIX::WNOHANG()) > 0) {
        my $id = delete $shims{$pid};
        report('gone', $id) if $? && defined $id;
    }
}

my $buffer = '';
for (;;) {
    my $there = select my $ready = $order_bits, undef, undef, %shims ? $REAP_SECONDS : undef;
    reap();
    next if $there <= 0;
    # the agent's end: shims go on alone
    sysread $orders, $buffer, $READ_BYTES, length $buffer or last;
    while (length $buffer >= 4) {
        my $length = unpack 'N', $buffer;
        last if length $buffer < 4 + $length;
        my $text = unpack 'N', substr $buffer, 4, 4;
        my @fields = split /\0/, substr($buffer, 8, $text), -1;
        pop @fields;
        if (shift @fields eq 'start') { start(\@fields, \substr $buffer, 8 + $text, $length - 4 - $text) }
        else { remove(\@fields) }
        substr $buffer, 0, 4 + $length, '';
    }
}
