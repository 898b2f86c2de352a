module lostcard.example/blind

go 1.19

require github.com/cloudflare/circl v1.3.1
